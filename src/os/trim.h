#pragma once

/*
 * Give back what this process does not need just now: free memory of the heap, and from its view the pages of programs and
 * libraries that cannot be written, which are in the system's page cache as before and come back, a few microseconds each
 * time, as they are used. For a process that has nothing to do for a while. Any thread.
 */
void memory_trim(void);
