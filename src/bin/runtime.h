#pragma once

/*
 * `mayfly runtime list` and `mayfly runtime install PACK`. argv begins after the word `runtime`. Returns the exit
 * status: 0 done, 1 it failed, 2 the words of the command are off.
 */
int runtime_main(int argc, char **argv);
