/* SPDX-License-Identifier: ISC */
/* What for: the table of roles, their users and programs. Trusts: the user
 * database, our own executable's directory. At a bound: refuses to start. */
#include "supervisor/roles.h"

#include "lib/paths.h"
#include "lib/safefile.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const struct role roles[ROLES_MAX] = {
    [LINK_VAULT] = {"hatcheck-vault", "_hatcheck-vault", false},
    [LINK_MINTER] = {"hatcheck-minter", "_hatcheck-minter", false},
    [LINK_DIALER] = {"hatcheck-dialer", "_hatcheck-dialer", false},
    [LINK_GATE] = {"hatcheck-gate", "_hatcheck-gate", true},
    [LINK_COURIER] = {"hatcheck-courier", "_hatcheck-courier", true},
};

int
role_ids_find(struct role_ids *out, char *why, size_t size)
{
	struct role_ids ids = {.apart = geteuid() == 0};

	for (int i = 0; ids.apart && i < ROLES_MAX; i++) {
		if (roles[i].program == NULL)
			continue;
		const struct passwd *pw = getpwnam(roles[i].user);
		if (pw == NULL || pw->pw_uid == 0 || pw->pw_gid == 0) {
			snprintf(why, size,
			    "started as root, but there is no user %s to run "
			    "%s as; next: install packaging/sysusers.d/"
			    "hatcheck.conf and run systemd-sysusers, or start "
			    "hatcheckd as an ordinary user",
			    roles[i].user, roles[i].program);
			return ERR_NOT_FOUND;
		}
		ids.uid[i] = pw->pw_uid;
		ids.gid[i] = pw->pw_gid;
	}
	*out = ids;
	return 0;
}

/* The directory that our own executable is in. */
static int
own_directory(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return -1;
	path[n] = '\0';
	char *slash = strrchr(path, '/');
	if (slash == NULL)
		return -1;
	slash[slash == path ? 1 : 0] = '\0';
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool
has_programs(int dir)
{
	return dir >= 0 &&
	       faccessat(dir, roles[LINK_MINTER].program, X_OK, 0) == 0;
}

/* Programs are opened for reading too: O_PATH alone will do for fexecve,
 * and lets a program be executable but not readable. */
static int
open_programs(int dir, struct helpers *out, char *why, size_t size)
{
	for (int i = 0; i < ROLES_MAX; i++) {
		out->fd[i] = -1;
		if (roles[i].program == NULL)
			continue;
		out->fd[i] = openat(
		    dir, roles[i].program, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;
		if (out->fd[i] < 0 || fstat(out->fd[i], &st) != 0 ||
		    !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) {
			snprintf(why, size,
			    "the program %s is missing; next: install all of "
			    "Hatcheck's programs together",
			    roles[i].program);
			return ERR_NOT_FOUND;
		}
	}
	return 0;
}

int
helpers_open(struct helpers *out, char *why, size_t size)
{
	int dir = own_directory(), r = 0;

	if (!has_programs(dir)) {
		if (dir >= 0)
			close(dir);
		r = safefile_dir(LIBEXECDIR, false, &dir, why, size);
		if (r != 0)
			return r;
	}
	r = open_programs(dir, out, why, size);
	close(dir);
	return r;
}
