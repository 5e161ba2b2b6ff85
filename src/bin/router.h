#pragma once
/*
 * The router: the unprivileged process that reads the network. Started by the warden with the descriptors of
 * wire/frames.h; runs until the warden drains or drops it.
 */

/* Returns the exit status. */
int router_main(int argc, char **argv);
