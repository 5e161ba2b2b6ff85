#pragma once
/* Memory of a restored process that is given back to the kernel. */

/*
 * From here on madvise() does what discard.c says: this process has been restored. `own` is memory that is
 * the image's, and stays mapped.
 */
void discard_begin(const void *own);
