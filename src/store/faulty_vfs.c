/*
 * A file of ours is a small header followed by the real VFS's file; all methods forward, three of
 * them ask first whether they may.
 */
#include "store/faulty_vfs.h"

#include <assert.h>
#include <sqlite3.h>

int faulty_vfs_countdown;
int faulty_vfs_code = SQLITE_IOERR_WRITE;
bool faulty_vfs_stays;

struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real;
};

static sqlite3_vfs *faulty_real;

static sqlite3_file *real(sqlite3_file *file)
{
	return ((struct faulty_file *)file)->real;
}

/* SQLITE_OK, or the failure that is due. */
static int faulty_ask(void)
{
	if (faulty_vfs_countdown < 0)
		return faulty_vfs_code; /* broken for good */
	if (faulty_vfs_countdown == 0 || --faulty_vfs_countdown > 0)
		return SQLITE_OK;
	if (faulty_vfs_stays)
		faulty_vfs_countdown = -1;
	return faulty_vfs_code;
}

static int faulty_close(sqlite3_file *file)
{
	return real(file)->pMethods->xClose(real(file));
}

static int faulty_read(sqlite3_file *file, void *to, int size, sqlite3_int64 at)
{
	return real(file)->pMethods->xRead(real(file), to, size, at);
}

static int faulty_write(sqlite3_file *file, const void *from, int size, sqlite3_int64 at)
{
	int code = faulty_ask();
	return code ? code : real(file)->pMethods->xWrite(real(file), from, size, at);
}

static int faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	int code = faulty_ask();
	return code ? code : real(file)->pMethods->xTruncate(real(file), size);
}

static int faulty_sync(sqlite3_file *file, int flags)
{
	int code = faulty_ask();
	return code ? code : real(file)->pMethods->xSync(real(file), flags);
}

static int faulty_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return real(file)->pMethods->xFileSize(real(file), ret_size);
}

static int faulty_lock(sqlite3_file *file, int level)
{
	return real(file)->pMethods->xLock(real(file), level);
}

static int faulty_unlock(sqlite3_file *file, int level)
{
	return real(file)->pMethods->xUnlock(real(file), level);
}

static int faulty_check_lock(sqlite3_file *file, int *ret_held)
{
	return real(file)->pMethods->xCheckReservedLock(real(file), ret_held);
}

static int faulty_control(sqlite3_file *file, int what, void *argument)
{
	return real(file)->pMethods->xFileControl(real(file), what, argument);
}

static int faulty_sector(sqlite3_file *file)
{
	return real(file)->pMethods->xSectorSize(real(file));
}

static int faulty_device(sqlite3_file *file)
{
	return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

static int faulty_shm_map(
	sqlite3_file *file, int page, int size, int extend, void volatile **ret_at)
{
	return real(file)->pMethods->xShmMap(real(file), page, size, extend, ret_at);
}

static int faulty_shm_lock(sqlite3_file *file, int at, int count, int flags)
{
	return real(file)->pMethods->xShmLock(real(file), at, count, flags);
}

static void faulty_shm_barrier(sqlite3_file *file)
{
	real(file)->pMethods->xShmBarrier(real(file));
}

static int faulty_shm_unmap(sqlite3_file *file, int remove)
{
	return real(file)->pMethods->xShmUnmap(real(file), remove);
}

static const sqlite3_io_methods faulty_methods = {
	.iVersion = 2, /* no memory-mapped reading */
	.xClose = faulty_close,
	.xRead = faulty_read,
	.xWrite = faulty_write,
	.xTruncate = faulty_truncate,
	.xSync = faulty_sync,
	.xFileSize = faulty_size,
	.xLock = faulty_lock,
	.xUnlock = faulty_unlock,
	.xCheckReservedLock = faulty_check_lock,
	.xFileControl = faulty_control,
	.xSectorSize = faulty_sector,
	.xDeviceCharacteristics = faulty_device,
	.xShmMap = faulty_shm_map,
	.xShmLock = faulty_shm_lock,
	.xShmBarrier = faulty_shm_barrier,
	.xShmUnmap = faulty_shm_unmap,
};

static int faulty_open(
	sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct faulty_file *faulty = (struct faulty_file *)file;

	(void)vfs;
	faulty->real = (sqlite3_file *)(faulty + 1);
	int code = faulty_real->xOpen(faulty_real, name, faulty->real, flags, ret_flags);
	file->pMethods = faulty->real->pMethods ? &faulty_methods : NULL;
	return code;
}

void faulty_vfs_install(void)
{
	static sqlite3_vfs vfs;

	faulty_real = sqlite3_vfs_find(NULL);
	assert(faulty_real && faulty_real != &vfs);
	vfs = *faulty_real; /* paths, time and chance are the real one's */
	vfs.zName = "faulty";
	vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty_real->szOsFile;
	vfs.xOpen = faulty_open;
	sqlite3_vfs_register(&vfs, 1);
}
