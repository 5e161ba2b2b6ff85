#pragma once
/*
 * The commands that talk to a running daemon. argv begins after the command's name. Each returns the process's
 * exit status: 0 done, 1 the daemon or the function said no, 2 the words of the command are off.
 */
int command_invoke(int argc, char **argv);
int command_logs(int argc, char **argv);
int command_status(int argc, char **argv);
int command_env(int argc, char **argv);
/* commands_async.c */
int command_async(int argc, char **argv);
