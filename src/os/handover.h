#pragma once
/*
 * A listening socket that is passed on over exec, in the form of sd_listen_fds(3): from a service manager, or from the
 * daemon that the new program replaces. Clients wait in its queue meanwhile.
 */

/*
 * Keep the words of the command line for handover_exec() and blank them where they stand: /proc shows them to
 * everybody, also in the sandboxes of processes that were forked from this one, and they may hold secrets. 0 or -ENOMEM.
 */
[[nodiscard]] int handover_keep_words(int argc, char **argv);

/*
 * Execute a program with the kept words and these descriptors: `input` as standard input, our standard output and error, the listener,
 * and nothing else. Returns a fault, after which only standard output and error can be relied on.
 */
[[nodiscard]] int handover_exec(const char *program, int input, int listener);

/*
 * What was passed on to this process, once: 0 and *ret_listener (close-on-exec, the caller's; -1 when nothing was);
 * -EINVAL when it was something else than one listening TCP socket; or a fault.
 */
[[nodiscard]] int handover_take(int *ret_listener);
