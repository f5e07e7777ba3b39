/* SPDX-License-Identifier: ISC */
/* What for: Landlock, by raw system calls and our own constants, because
 * Debian 12's headers are older than many kernels. Trusts: the ABI number
 * that the kernel gives. At a bound: what an ABI cannot deny is left to the
 * seccomp filter. */
#include "lib/jail_walls.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, stable ABI. */
#define CREATE_VERSION (1U << 0)
#define RULE_PATH_BENEATH 1
#define FS_EXECUTE (1ULL << 0)
#define FS_WRITE_FILE (1ULL << 1)
#define FS_READ_FILE (1ULL << 2)
#define FS_READ_DIR (1ULL << 3)
#define FS_REMOVE_DIR (1ULL << 4)
#define FS_REMOVE_FILE (1ULL << 5)
#define FS_MAKE_DIR (1ULL << 7)
#define FS_MAKE_REG (1ULL << 8)
#define FS_REFER (1ULL << 13)	  /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define FS_ABI_1 ((1ULL << 13) - 1)
#define NET_BIND_TCP (1ULL << 0) /* ABI 4 */
#define NET_CONNECT_TCP (1ULL << 1)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ULL << 1)

#define FILE_RIGHTS (FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)
#define READ_RIGHTS (FS_READ_FILE | FS_READ_DIR)
#define WRITE_RIGHTS                                                    \
	(READ_RIGHTS | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | \
	    FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_attr {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

int
jail_landlock_abi(void)
{
	long abi =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t
handled_fs(int abi)
{
	return FS_ABI_1 | (abi >= 2 ? FS_REFER : 0) |
	       (abi >= 3 ? FS_TRUNCATE : 0) | (abi >= 5 ? FS_IOCTL_DEV : 0);
}

static uint64_t
scopes(const struct jail_profile *p)
{
	bool unix_only = (p->calls & JAIL_SOCKET_UNIX) != 0 &&
			 (p->calls & JAIL_SOCKET_INET) == 0;

	/* A session bus may sit on an abstract socket. */
	return SCOPE_SIGNAL | (unix_only ? 0 : SCOPE_ABSTRACT_UNIX);
}

static size_t
attr_size(int abi)
{
	return abi >= 6	  ? sizeof(struct ruleset_attr)
	       : abi >= 4 ? offsetof(struct ruleset_attr, scoped)
			  : offsetof(struct ruleset_attr, net);
}

static void
allow_path(int rules, const struct jail_path *path, uint64_t handled)
{
	struct path_attr a = {
	    .allowed = (path->write ? WRITE_RIGHTS : READ_RIGHTS) & handled,
	    .parent_fd = open(path->path, O_PATH | O_CLOEXEC),
	};
	struct stat st;

	if (a.parent_fd < 0 && errno == ENOENT && !path->write)
		return; /* nothing there, nothing to reach */
	if (a.parent_fd < 0 || fstat(a.parent_fd, &st) != 0)
		log_fatal("jail_path_missing", path->path);
	if (!S_ISDIR(st.st_mode))
		a.allowed &= FILE_RIGHTS;
	if (syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &a, 0) !=
	    0)
		log_fatal("jail_failed", "landlock_add_rule");
	close(a.parent_fd);
}

static bool
root_is_allowed(const struct jail_profile *p)
{
	for (size_t i = 0; i < p->n_paths; i++) {
		if (p->paths[i].path[0] == '/' && p->paths[i].path[1] == '\0')
			return true;
	}
	return false;
}

static void
check(const struct jail_profile *p)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && !root_is_allowed(p))
		log_fatal("jail_failed", "Landlock does not hold");
	if (fd >= 0)
		close(fd);
}

void
jail_landlock(const struct jail_profile *p)
{
	/* For the reports of a sanitizer. */
	static const struct jail_path loose[] = {
	    {"/proc", false}, {"/usr", false}};
	int abi = jail_landlock_abi();
	struct ruleset_attr a = {
	    .fs = handled_fs(abi),
	    .net = NET_BIND_TCP | (p->network ? 0 : NET_CONNECT_TCP),
	    .scoped = scopes(p),
	};

	if (abi == 0) {
		log_event(LOG_WARN, "landlock_missing",
		    LOG_STR("next", "a kernel with Landlock adds a wall"));
		return;
	}
	int rules =
	    (int)syscall(SYS_landlock_create_ruleset, &a, attr_size(abi), 0);
	if (rules < 0)
		log_fatal("jail_failed", "landlock_create_ruleset");
	for (size_t i = 0; i < p->n_paths; i++)
		allow_path(rules, &p->paths[i], a.fs);
	for (size_t i = 0; JAIL_SANITIZED && i < 2; i++)
		allow_path(rules, &loose[i], a.fs);
	if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		log_fatal("jail_failed", "landlock_restrict_self");
	close(rules);
	check(p);
}
