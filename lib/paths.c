/* SPDX-License-Identifier: ISC */
/* What for: where everything is. Trusts: --home and the password database,
 * never the environment. At a bound: a path that is too long is refused. */
#include "lib/paths.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int
paths_join(const char *base, const char *name, char out[static PATH_MAX])
{
	char joined[PATH_MAX];
	int n = snprintf(joined, sizeof(joined), "%s%s%s", base,
	    base[0] != '\0' && base[strlen(base) - 1] == '/' ? "" : "/", name);

	if (n < 0 || n >= PATH_MAX)
		return ERR_TOO_BIG;
	memcpy(out, joined, (size_t)n + 1);
	return 0;
}

/* Whoever planted a link on the way chooses where we go: only root and we
 * ourselves may. */
static int
check_links(const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return ERR_TOO_BIG;
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (lstat(part, &st) == 0 && S_ISLNK(st.st_mode) &&
		    st.st_uid != 0 && st.st_uid != geteuid())
			return ERR_DENIED;
	}
	return 0;
}

/* home as an absolute path; its last component need not exist yet. */
static int
absolute(const char *home, char out[static PATH_MAX])
{
	char parent[PATH_MAX], real[PATH_MAX];
	size_t n = strlen(home);

	int r = n == 0 ? ERR_ARGUMENT : check_links(home);

	if (r != 0)
		return r;
	if (realpath(home, out) != NULL)
		return 0;
	if (errno != ENOENT)
		return errno == ENAMETOOLONG ? ERR_TOO_BIG : ERR_IO;
	while (n > 1 && home[n - 1] == '/')
		n--;
	if (n >= sizeof(parent))
		return ERR_TOO_BIG;
	memcpy(parent, home, n);
	parent[n] = '\0';
	char *slash = strrchr(parent, '/');
	const char *last = slash == NULL ? parent : slash + 1;
	if (strcmp(last, "..") == 0 || strcmp(last, ".") == 0)
		return ERR_NOT_FOUND;
	char name[PATH_MAX];
	memcpy(name, last, strlen(last) + 1);
	if (slash != NULL)
		slash[slash == parent ? 1 : 0] = '\0';
	if (realpath(slash == NULL ? "." : parent, real) == NULL)
		return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
	return paths_join(real, name, out);
}

static int
from_home(const char *home, struct paths *out)
{
	char base[PATH_MAX];
	int r = absolute(home, base);

	return r != 0						    ? r
	       : (r = paths_join(base, "config", out->config)) != 0 ? r
	       : (r = paths_join(base, "state", out->state)) != 0   ? r
	       : (r = paths_join(base, "run", out->run)) != 0
		   ? r
		   : paths_join(base, "log", out->log);
}

static void
from_system(struct paths *out)
{
	strcpy(out->config, "/etc/hatcheck");
	strcpy(out->state, "/var/lib/hatcheck");
	strcpy(out->run, "/run/hatcheck");
	strcpy(out->log, "/var/log/hatcheck");
}

static int
user_run(struct paths *out)
{
	char dir[64];
	struct stat st;

	snprintf(dir, sizeof(dir), "/run/user/%u", (unsigned)getuid());
	if (lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == getuid() && (st.st_mode & 077) == 0)
		return paths_join(dir, "hatcheck", out->run);
	return paths_join(out->state, "run", out->run);
}

static int
from_user(struct paths *out)
{
	const struct passwd *pw = getpwuid(getuid());
	int r;

	if (pw == NULL || pw->pw_dir == NULL || pw->pw_dir[0] != '/')
		return ERR_NOT_FOUND;
	if ((r = paths_join(pw->pw_dir, ".config/hatcheck", out->config)) !=
		0 ||
	    (r = paths_join(pw->pw_dir, ".local/state/hatcheck", out->state)) !=
		0 ||
	    (r = paths_join(out->state, "log", out->log)) != 0)
		return r;
	return user_run(out);
}

int
paths_find(const char *home, struct paths *out)
{
	struct paths p = {{0}};
	int r = 0;

	if (home != NULL)
		r = from_home(home, &p);
	else if (geteuid() == 0)
		from_system(&p);
	else
		r = from_user(&p);
	if (r == 0)
		*out = p;
	return r;
}
