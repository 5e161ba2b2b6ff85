#pragma once
/*
 * A process saves itself into a file, from which it can be restored any number of times, later and
 * elsewhere on this machine, without rights: see save.c and restore.c.
 */
#include <stdint.h>
#include <sys/types.h>

struct snapshot_how {
	int image;	     /* empty, to be read and written; of a mount that allows to execute */
	uint64_t bytes_max;  /* that may be written; 0: as many as there are */
	pid_t (*fork)(void); /* the C library's */
};

/*
 * Like fork(), with children that come later. Positive in the caller, when the image is complete; 0 in
 * every restored process; or, in the caller, which goes on as if nothing had been:
 *
 * -EBUSY       there is more than one thread
 * -ECHILD      there are child processes
 * -EBADFD      a descriptor is open beside 0, 1, 2 and the image
 * -EOPNOTSUPP  memory that is somebody else's as well: a file or a device, mapped to be written
 * -EOVERFLOW   more than bytes_max
 * -E2BIG       more mappings than an image has room for
 * -ECANCELED   whoever wrote the image was killed, for its memory probably
 * -ENOSYS      not on this kernel or processor
 *              or an errno of the file system's
 *
 * The image then has a line of text which says more: IMAGE_REFUSED (image.h), the errno, words.
 *
 * What is saved is a child of the caller, which is gone afterwards. So everything that recognises a fork,
 * by its process number or a handler of its own, recognises a restored process too, provided that
 * this has another number than the child had: restore.c refuses if not. Timers, locks on memory and
 * what is in descriptors are not restored; descriptors 0, 1 and 2 are whatever they are there.
 */
[[nodiscard]] pid_t snapshot_fork(const struct snapshot_how *how);
