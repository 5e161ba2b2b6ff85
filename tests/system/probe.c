/*
 * What a function can see and do, from the inside: the program that the system tests run in a
 * sandbox. The environment says what to do (PROBE=…); it answers in lines.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* ---- looking ---- */

static void copy_file(const char *title, const char *path)
{
	char line[4096];
	FILE *file = fopen(path, "re");

	if (!file)
		printf("%s: %s\n", title, strerrorname_np(errno));
	while (file && fgets(line, sizeof(line), file))
		printf("%s: %s", title, line);
	if (file)
		fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Each entry: type, mode, owner, name, target of a link. */
static void list_folder(const char *title, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, by_name);

	if (count < 0)
		printf("%s: %s\n", title, strerrorname_np(errno));
	for (int i = 0; i < count; i++) {
		char name[512], target[256] = "";
		struct stat st;
		if (entries[i]->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (lstat(name, &st) < 0)
			continue;
		ssize_t len = readlink(name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		printf("%s: %s %o %u %s%s%s\n", title,
			S_ISDIR(st.st_mode)	   ? "dir"
				: S_ISLNK(st.st_mode) ? "link"
				: S_ISCHR(st.st_mode) ? "char"
				: S_ISREG(st.st_mode) ? "file"
						      : "other",
			st.st_mode & 07777, st.st_uid, entries[i]->d_name, len > 0 ? " -> " : "", target);
	}
}

static void list_fds(void)
{
	for (int fd = 0; fd < 4096; fd++) {
		char path[64], target[256];
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		ssize_t len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		printf("fd: %d %s\n", fd, strncmp(target, "pipe:", 5) ? target : "pipe");
	}
}

static void list_limits(void)
{
	static const struct {
		int resource;
		const char *name;
	} rows[] = { { RLIMIT_NOFILE, "nofile" }, { RLIMIT_NPROC, "nproc" }, { RLIMIT_CORE, "core" },
		{ RLIMIT_MEMLOCK, "memlock" }, { RLIMIT_STACK, "stack" }, { RLIMIT_MSGQUEUE, "msgqueue" },
		{ RLIMIT_RTPRIO, "rtprio" }, { RLIMIT_NICE, "nice" }, { RLIMIT_FSIZE, "fsize" },
		{ RLIMIT_CPU, "cpu" } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rlimit limit;
		getrlimit(rows[i].resource, &limit);
		printf("limit: %s %lld\n", rows[i].name, (long long)limit.rlim_cur);
	}
}

static void look(void)
{
	char text[256];

	copy_file("mount", "/proc/self/mountinfo");
	copy_file("status", "/proc/self/status");
	copy_file("cgroup", "/proc/self/cgroup");
	copy_file("route", "/proc/net/route");
	copy_file("net", "/proc/net/dev");
	copy_file("unix", "/proc/net/unix");
	copy_file("oom", "/proc/self/oom_score_adj");
	list_fds();
	list_limits();
	list_folder("root", "/");
	list_folder("dev", "/dev");
	list_folder("etc", "/etc");
	list_folder("task", "/var/task");
	list_folder("runtime", "/var/runtime");
	list_folder("opt", "/opt");
	list_folder("tmp", "/tmp");
	copy_file("passwd", "/etc/passwd");
	copy_file("hosts", "/etc/hosts");
	for (char **e = environ; *e; e++)
		printf("env: %s\n", *e);
	printf("cwd: %s\n", getcwd(text, sizeof(text)));
	gethostname(text, sizeof(text));
	printf("hostname: %s\n", text);
	printf("session: %d of %d\n", getsid(0), getpid());
	mode_t mask = umask(0);
	printf("umask: %o\n", mask);
	for (int pid = 1; pid < 70000; pid++) {
		snprintf(text, sizeof(text), "/proc/%d/comm", pid);
		if (access(text, F_OK) == 0) {
			char title[32];
			snprintf(title, sizeof(title), "process %d", pid);
			copy_file(title, text);
		}
	}
}

/* ---- trying ---- */

static void tell(const char *what, long result)
{
	printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "DONE");
	fflush(stdout);
}

static int write_to(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	int r = write(fd, "1", 1) < 0 ? -1 : 0;
	close(fd);
	return r;
}

static int read_from(const char *path)
{
	char byte[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t len = read(fd, byte, sizeof(byte));
	close(fd);
	if (len == 0)
		errno = ENODATA; /* covered by nothing */
	return len > 0 ? 0 : -1;
}

static int connect_to(const char *address, int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, address, &to.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(fd, (struct sockaddr *)&to, sizeof(to));
	int kept = errno;
	close(fd);
	errno = kept;
	return r;
}

/* Signal every process that can be seen but ourselves; how many there were. */
static void try_signals(void)
{
	tell("kill init with SIGTERM", kill(1, SIGTERM)); /* it is there, and does not care */
	tell("kill init with SIGKILL", kill(1, SIGKILL));
	tell("kill a process outside", kill(atoi(getenv("OUTSIDE_PID")), 0));
	tell("kill everybody", kill(-1, 0));
}

static void try_namespaces(void)
{
	static const struct {
		int flag;
		const char *name;
	} kinds[] = { { CLONE_NEWUSER, "user" }, { CLONE_NEWNS, "mnt" }, { CLONE_NEWPID, "pid" },
		{ CLONE_NEWNET, "net" }, { CLONE_NEWIPC, "ipc" }, { CLONE_NEWUTS, "uts" },
		{ CLONE_NEWCGROUP, "cgroup" } };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char what[64];
		snprintf(what, sizeof(what), "unshare %s", kinds[i].name);
		tell(what, unshare(kinds[i].flag));
		snprintf(what, sizeof(what), "clone %s", kinds[i].name);
		tell(what, syscall(SYS_clone, kinds[i].flag | SIGCHLD, 0, 0, 0, 0));
	}
	int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	tell("open init's namespace", fd);
	tell("setns", setns(0, 0));
}

static void try_kernel(void)
{
	char block[256] = {};

	tell("mount", mount("none", "/tmp", "tmpfs", 0, ""));
	tell("umount", umount2("/tmp", MNT_DETACH));
	tell("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	tell("pivot_root", syscall(SYS_pivot_root, "/", "/"));
	tell("chroot", chroot("/tmp"));
	tell("ptrace", ptrace(PTRACE_ATTACH, 1, 0, 0));
	tell("process_vm_readv", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
	tell("bpf", syscall(SYS_bpf, 0, block, sizeof(block)));
	tell("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	tell("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	tell("request_key", syscall(SYS_request_key, "user", "x", "y", -3));
	tell("io_uring_setup", syscall(SYS_io_uring_setup, 8, block));
	tell("userfaultfd", syscall(SYS_userfaultfd, 0));
	tell("perf_event_open", syscall(SYS_perf_event_open, block, 0, -1, -1, 0));
	tell("init_module", syscall(SYS_init_module, block, sizeof(block), ""));
	tell("finit_module", syscall(SYS_finit_module, 0, "", 0));
	tell("delete_module", syscall(SYS_delete_module, "loop", 0));
	tell("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
	tell("reboot", reboot(RB_ENABLE_CAD));
	tell("swapon", swapon("/tmp/x", 0));
	tell("syslog", klogctl(3, block, sizeof(block)));
	tell("settimeofday", settimeofday(&(struct timeval){ 1, 0 }, NULL));
	tell("sethostname", sethostname("x", 1));
	tell("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, block, 0));
	tell("personality", personality(ADDR_NO_RANDOMIZE));
	tell("clone3", syscall(SYS_clone3, block, 88));
	tell("landlock", syscall(SYS_landlock_create_ruleset, 0, 0, 1));
	tell("a call of the future", syscall(999));
	tell("ioperm", syscall(SYS_ioperm, 0, 1, 1));
	tell("iopl", syscall(SYS_iopl, 3));
	tell("quotactl", syscall(SYS_quotactl, 0, 0, 0, 0));
	tell("acct", syscall(SYS_acct, 0));
	tell("setuid 0", setuid(0));
	tell("setgid 0", setgid(0));
	tell("setgroups", setgroups(0, NULL));
	tell("prctl keepcaps", prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	tell("prctl ambient", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 21, 0, 0));
	tell("nice", setpriority(PRIO_PROCESS, 0, -5));
	tell("more files", setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 4096, 4096 }));
	tell("mlock much", mlock(mmap(0, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1 << 20));
	tell("TIOCSTI", ioctl(0, TIOCSTI, "x"));
}

static void try_sockets(void)
{
	tell("socket unix", socket(AF_UNIX, SOCK_STREAM, 0));
	tell("socket tcp", socket(AF_INET, SOCK_STREAM, 0));
	tell("socket tcp6", socket(AF_INET6, SOCK_STREAM, 0));
	tell("socket udp", socket(AF_INET, SOCK_DGRAM, 0));
	tell("socket route", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	tell("socket raw", socket(AF_INET, SOCK_RAW, 1));
	tell("socket raw6", socket(AF_INET6, SOCK_RAW, 58));
	tell("socket ping", socket(AF_INET, SOCK_DGRAM, 1));
	tell("socket packet", socket(AF_PACKET, SOCK_RAW, 0));
	tell("socket alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
	tell("socket vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
	tell("socket audit", socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT));
	tell("socket uevent", socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
	tell("socket sctp", socket(AF_INET, SOCK_STREAM, 132));
	struct ifreq down = { .ifr_name = "lo" };
	tell("lo down", ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &down));
	tell("runtime API", connect_to("127.0.0.1", 9001));
	tell("AWS endpoint", connect_to("127.0.0.1", 4566));
	tell("host's loopback", connect_to("127.0.0.1", atoi(getenv("HOST_PORT"))));
	tell("outside", connect_to("192.0.2.1", 80));
	tell("metadata service", connect_to("169.254.169.254", 80));
	struct sockaddr_un abstract = { .sun_family = AF_UNIX };
	memcpy(abstract.sun_path + 1, "mayfly-test", 11);
	tell("host's abstract socket",
		connect(socket(AF_UNIX, SOCK_SEQPACKET, 0), (struct sockaddr *)&abstract,
			sizeof(sa_family_t) + 12));
	struct sockaddr_in low = { .sin_family = AF_INET, .sin_port = htons(80) };
	tell("bind port 80", bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&low, sizeof(low)));
}

static void try_files(void)
{
	static const char *const writable[] = { "/x", "/usr/x", "/var/task/x", "/var/task/bootstrap",
		"/var/runtime/x", "/opt/x", "/etc/passwd", "/etc/x", "/dev/x", "/run/x", "/var/x",
		"/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger",
		"/proc/1/oom_score_adj", "/proc/self/uid_map", "/tmp/x", "/dev/null", "/dev/stdout" };
	static const char *const readable[] = { "/proc/kcore", "/proc/keys", "/proc/kallsyms",
		"/proc/timer_list", "/proc/interrupts", "/proc/1/environ", "/proc/1/mem", "/proc/1/maps",
		"/proc/kmsg", "/etc/shadow", "/proc/self/maps", "/proc/meminfo", "/dev/urandom", "/dev/zero" };
	static const char *const absent[] = { "/root", "/home", "/sys", "/boot", "/dev/shm", "/dev/pts",
		"/dev/mem", "/dev/kmsg", "/dev/tty", "/proc/acpi/x", "/proc/scsi/x", "/mnt" };

	for (size_t i = 0; i < sizeof(writable) / sizeof(writable[0]); i++) {
		printf("write ");
		tell(writable[i], write_to(writable[i]));
	}
	for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
		printf("read ");
		tell(readable[i], read_from(readable[i]));
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		printf("see ");
		tell(absent[i], access(absent[i], F_OK));
	}
	tell("mknod device", mknod("/tmp/device", S_IFCHR | 0666, 1 << 8 | 3));
	tell("mkfifo", mkfifo("/tmp/fifo", 0600));
	tell("chown", chown("/tmp/x", 0, 0));
	tell("set-uid bit", chmod("/tmp/x", 04755)); /* allowed, and without any effect */
	tell("link out", link("/etc/passwd", "/tmp/passwd"));
	tell("the way up", access("/../../../../root", F_OK));
	struct statvfs fs;
	statvfs("/tmp", &fs);
	printf("tmp size: %llu inodes %llu\n", (unsigned long long)fs.f_blocks * fs.f_frsize,
		(unsigned long long)fs.f_files);
}

/* ---- doing ---- */

static void fill_tmp(void)
{
	static char block[1 << 16];
	int fd = open("/tmp/big", O_WRONLY | O_CREAT, 0600);
	long long total = 0;
	ssize_t len;

	while ((len = write(fd, block, sizeof(block))) > 0)
		total += len;
	printf("wrote %lld: %s\n", total, strerrorname_np(errno));
	close(fd);
	int count = 0;
	char name[32];
	do
		snprintf(name, sizeof(name), "/tmp/%d", count++);
	while ((fd = open(name, O_WRONLY | O_CREAT, 0600)) >= 0 && close(fd) == 0);
	printf("files %d: %s\n", count - 1, strerrorname_np(errno));
}

static void use_memory(size_t mb)
{
	char *at = mmap(NULL, mb << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; at != MAP_FAILED && i < mb << 20; i += 4096)
		at[i] = 1;
	printf("used %zu MB\n", mb);
	fflush(stdout);
}

static void fork_many(void)
{
	int count = 0;

	while (count < 5000) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0) {
			pause();
			_exit(0);
		}
		count++;
	}
	printf("forked %d: %s\n", count, strerrorname_np(errno));
}

/* A grandchild that is nobody's: it is collected by process 1, or it would stay a zombie. */
static void leave_orphans(void)
{
	for (int i = 0; i < 20; i++)
		if (fork() == 0) {
			if (fork() == 0)
				_exit(0);
			_exit(0);
		}
	while (wait(NULL) > 0)
		continue;
	int left = 0;
	for (int round = 0; round < 500; round++) {
		left = 0;
		for (int pid = 3; pid < 100; pid++)
			left += pid != getpid() && kill(pid, 0) == 0;
		if (!left)
			break;
		usleep(10000);
	}
	printf("orphans left: %d\n", left);
}

/* A child that holds the log and sleeps for ever: it must not outlive us. */
static void leave_a_sleeper(void)
{
	if (fork() == 0) {
		setsid();
		signal(SIGTERM, SIG_IGN);
		for (;;)
			pause();
	}
}

static void serve_line(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	char text[256];

	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		tell("connect", -1);
		return;
	}
	ssize_t len = read(fd, text, sizeof(text) - 1);
	printf("%d says %.*s\n", port, (int)(len < 0 ? 0 : len), text);
	close(fd);
}

static void spin(int ms)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	printf("cpu ms %lld\n", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* ---- what a function leaves behind in its namespaces ---- */

static int listen_on(int port, int is_reusing)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &is_reusing, sizeof(is_reusing));
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int abstract_socket(int (*use)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path + 1, "left behind", 11);
	return use(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + 12) < 0 ? -1 : fd;
}

/* Both ends of a connection here: closed by the listener first, it stays in TIME_WAIT. */
static void leave_a_closed_connection(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	char byte;
	int listener = listen_on(port, 0), client = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	tell("connect to itself", connect(client, (struct sockaddr *)&address, sizeof(address)));
	int server = accept(listener, NULL, NULL);
	close(server);
	(void)!read(client, &byte, 1);
	close(client);
	close(listener);
}

static void leave_behind(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(5002) };

	leave_a_closed_connection(5000);
	tell("listen", listen_on(5001, 1));
	tell("bind udp", bind(fd, (struct sockaddr *)&address, sizeof(address)));
	tell("abstract socket", abstract_socket(bind));
	tell("shared memory", shmget(77, 4096, IPC_CREAT | 0666));
	tell("semaphore", semget(77, 1, IPC_CREAT | 0666));
	tell("message queue", msgget(77, IPC_CREAT | 0666));
	for (int i = 0; i < 10; i++) /* nobody accepts them */
		tell("runtime API", connect_to("127.0.0.1", 9001));
	fd = socket(AF_INET, SOCK_STREAM, 0); /* and one that stays open */
	address.sin_port = htons(9001);
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	tell("runtime API", connect(fd, (struct sockaddr *)&address, sizeof(address)));
	tell("write", write(fd, "GET /of-the-former HTTP/1.1\r\n\r\n", 31));
}

static void find_left_behind(void)
{
	copy_file("tcp", "/proc/net/tcp");
	copy_file("udp", "/proc/net/udp");
	copy_file("unix", "/proc/net/unix");
	copy_file("shm", "/proc/sysvipc/shm");
	copy_file("sem", "/proc/sysvipc/sem");
	copy_file("msg", "/proc/sysvipc/msg");
	tell("connect", connect_to("127.0.0.1", 5001));
	tell("abstract socket", abstract_socket(connect));
	tell("shared memory", shmget(77, 4096, 0));
	tell("listen where a connection was", listen_on(5000, 0));
	tell("listen where somebody listened", listen_on(5001, 0));
	serve_line(9001);
}

static int is(const char *what)
{
	return !strcmp(getenv("PROBE") ? getenv("PROBE") : "", what);
}

static int argument(void)
{
	return getenv("ARGUMENT") ? atoi(getenv("ARGUMENT")) : 0;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (is("look"))
		look();
	else if (is("try")) {
		try_files();
		try_sockets();
		try_kernel();
		try_namespaces();
		try_signals();
	} else if (is("exit"))
		return argument();
	else if (is("signal"))
		raise(argument());
	else if (is("memory"))
		use_memory((size_t)argument());
	else if (is("memory in a child")) {
		int status;
		if (fork() == 0) {
			use_memory((size_t)argument());
			_exit(0);
		}
		wait(&status);
		printf("child %s\n", WIFSIGNALED(status) ? "killed" : "fine");
		return 3;
	} else if (is("tmp"))
		fill_tmp();
	else if (is("fork"))
		fork_many();
	else if (is("leave"))
		leave_behind();
	else if (is("find"))
		find_left_behind();
	else if (is("orphans"))
		leave_orphans();
	else if (is("sleeper"))
		leave_a_sleeper();
	else if (is("connect")) {
		serve_line(9001);
		serve_line(4566);
	} else if (is("spin"))
		spin(argument());
	else if (is("count"))
		for (int i = 0;; i++) {
			printf("%d\n", i);
			usleep(10000);
		}
	else if (is("sleep")) {
		printf("here\n");
		pause();
	} else
		printf("hello\n");
	fflush(stdout);
	return 0;
}
