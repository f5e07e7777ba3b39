/* SPDX-License-Identifier: ISC */
/* What for: directories, pid file, listening sockets. Trusts: what
 * lib/safefile found safe. At a bound: refuses to start, with a sentence. */
#include "supervisor/home.h"

#include "lib/safefile.h"
#include "lib/span.h"
#include "lib/unixsock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_FILE "hatcheckd.pid"
#define LOCK_TRIES 10

static int
say(char *why, size_t size, int err, const char *path, const char *what)
{
	snprintf(why, size, "%s: %s", path, what);
	return err;
}

/* A directory of ours; mode is for the system service only. */
static int
dir_ours(
    const char *path, mode_t mode, bool apart, int *fd, char *why, size_t size)
{
	int got = -1, r = safefile_dir(path, true, &got, why, size);

	if (r == 0 && apart && fchmod(got, mode) != 0)
		r = say(why, size, ERR_IO, path, "chmod failed");
	if (r != 0 || fd == NULL) {
		if (got >= 0)
			close(got);
		return r;
	}
	*fd = got;
	return 0;
}

/* parent/name, owned by role's user when uids are apart: safefile_dir()
 * would not accept another owner, so only the parent is walked. */
static int
dir_of_role(const char *path, enum link_role role, const struct role_ids *ids,
    int *fd, char *why, size_t size)
{
	char parent[PATH_MAX];
	int dir = -1, got, r;
	struct stat st;

	if (!ids->apart)
		return dir_ours(path, 0700, false, fd, why, size);
	if (span_copy(span_str(path), parent, sizeof(parent)) != 0)
		return ERR_TOO_BIG;
	char *name = strrchr(parent, '/');
	*name++ = '\0';
	if ((r = safefile_dir(parent, true, &dir, why, size)) != 0)
		return r;
	if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
		r = say(why, size, ERR_IO, path, "cannot be made");
	got =
	    openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	close(dir);
	if (r != 0 || got < 0 || fstat(got, &st) != 0)
		return r != 0
			   ? r
			   : say(why, size, ERR_IO, path, "cannot be opened");
	if ((st.st_uid != 0 && st.st_uid != ids->uid[role]) ||
	    fchown(got, ids->uid[role], ids->gid[role]) != 0 ||
	    fchmod(got, 0700) != 0)
		r = say(why, size, ERR_DENIED, path,
		    "belongs to another user; next: chown it to its role");
	if (r != 0 || fd == NULL)
		close(got);
	else
		*fd = got;
	return r;
}

static int
name_all(struct home *h)
{
	const struct paths *p = &h->paths;
	int r;

	if ((r = paths_join(p->state, "vault", h->vault_state)) != 0 ||
	    (r = paths_join(p->state, "minter", h->minter_state)) != 0 ||
	    (r = paths_join(p->log, "audit", h->audit)) != 0)
		return r;
	return paths_join(p->config, "hatcheckd.yaml", h->config_file);
}

/* --home itself, the parent of config/: the roles pass through it. */
static int
open_home(const char *config, char *why, size_t size)
{
	char path[PATH_MAX];

	if (span_copy(span_str(config), path, sizeof(path)) != 0)
		return ERR_TOO_BIG;
	*strrchr(path, '/') = '\0';
	return dir_ours(path[0] == '\0' ? "/" : path, 0711, path[0] != '\0',
	    NULL, why, size);
}

static int
make_dirs(struct home *h, bool given, const struct role_ids *ids, char *why,
    size_t size)
{
	const struct paths *p = &h->paths;
	char sessions[PATH_MAX];
	bool apart = ids->apart;
	int r = 0;

	if ((r = name_all(h)) != 0 ||
	    (r = paths_join(p->run, "s", sessions)) != 0)
		return say(why, size, r, p->state, "the path is too long");
	if (given && apart && (r = open_home(p->config, why, size)) != 0)
		return r;
	if ((r = dir_ours(p->config, 0755, apart, &h->config_dir, why, size)) !=
		0 ||
	    (r = dir_ours(p->state, 0711, apart, NULL, why, size)) != 0 ||
	    (r = dir_ours(p->log, 0711, apart, NULL, why, size)) != 0 ||
	    (r = dir_ours(p->run, 0711, apart, &h->run_dir, why, size)) != 0 ||
	    (r = dir_ours(
		 sessions, 0711, apart, &h->sessions_dir, why, size)) != 0 ||
	    (r = dir_of_role(
		 h->vault_state, LINK_VAULT, ids, NULL, why, size)) != 0 ||
	    (r = dir_of_role(
		 h->minter_state, LINK_MINTER, ids, NULL, why, size)) != 0)
		return r;
	return dir_of_role(
	    h->audit, LINK_MINTER, ids, &h->audit_dir, why, size);
}

/* Whether fd is still the file called PID_FILE: another hatcheckd may have
 * removed it between our open and our lock. */
static bool
still_there(int dir, int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 &&
	       fstatat(dir, PID_FILE, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int
say_who(int fd, char *why, size_t size)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	snprintf(why, size,
	    "hatcheckd runs already for this home, as process %ld; next: "
	    "use it, or end it by `hatcheck stop`",
	    strtol(text, NULL, 10));
	return ERR_EXISTS;
}

static int
write_pid(int fd)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) == n
		   ? 0
		   : ERR_IO;
}

static int
lock_pid_file(struct home *h, char *why, size_t size)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		int fd = openat(h->run_dir, PID_FILE,
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

		if (fd < 0)
			return say(
			    why, size, ERR_IO, PID_FILE, "cannot be opened");
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			int r = say_who(fd, why, size);
			close(fd);
			return r;
		}
		bool there = still_there(h->run_dir, fd);
		if (there && write_pid(fd) == 0) {
			h->pid_file = fd;
			return 0;
		}
		close(fd);
		if (there)
			return say(why, size, ERR_IO, PID_FILE,
			    "cannot be written; next: make room on its disk");
	}
	return say(why, size, ERR_IO, PID_FILE, "cannot be locked");
}

static int
listen_all(struct home *h, char *why, size_t size)
{
	int r;

	if ((r = unixsock_listen(
		 h->run_dir, "vault.sock", 0600, &h->vault_socket)) != 0)
		return say(why, size, r, "vault.sock", err_text(r));
	if ((r = unixsock_listen(
		 h->run_dir, "admin.sock", 0600, &h->admin_socket)) != 0)
		return say(why, size, r, "admin.sock", err_text(r));
	return 0;
}

int
home_open(const char *given, const struct role_ids *ids, struct home *out,
    char *why, size_t size)
{
	struct home h = {.config_dir = -1,
	    .run_dir = -1,
	    .sessions_dir = -1,
	    .audit_dir = -1,
	    .vault_socket = -1,
	    .admin_socket = -1,
	    .admin_gid = UNIXSOCK_NO_GROUP,
	    .pid_file = -1};
	int r = paths_find(given, &h.paths);

	if (r != 0)
		return say(
		    why, size, r, given == NULL ? "home" : given, err_text(r));
	if ((r = make_dirs(&h, given != NULL, ids, why, size)) != 0 ||
	    (r = lock_pid_file(&h, why, size)) != 0 ||
	    (r = listen_all(&h, why, size)) != 0)
		return r; /* the caller exits: nothing to give back */
	*out = h;
	return 0;
}

int
home_admin_group(struct home *h, const char *group, char *why, size_t size)
{
	static const char *const names[] = {"vault.sock", "admin.sock"};
	mode_t mode = group[0] == '\0' ? 0600 : 0660;
	gid_t gid = getegid();

	if (group[0] != '\0') {
		const struct group *g = getgrnam(group);
		if (g == NULL)
			return say(why, size, ERR_NOT_FOUND, group,
			    "there is no such group; next: groupadd it, or "
			    "remove admin_group");
		gid = h->admin_gid = g->gr_gid;
		if (gid == 0)
			return say(why, size, ERR_DENIED, group,
			    "is root's own group; next: name another");
	}
	for (int i = 0; i < 2; i++) {
		if (fchownat(h->run_dir, names[i], (uid_t)-1, gid,
			AT_SYMLINK_NOFOLLOW) != 0 ||
		    fchmodat(h->run_dir, names[i], mode, 0) != 0)
			return say(why, size, ERR_IO, names[i],
			    "its group cannot be set; next: be a member of it");
	}
	return 0;
}

void
home_hand_over(const struct home *h, const struct role_ids *ids)
{
	static const char *const names[] = {"vault.json", "vault.key"};
	struct stat st;

	for (int i = 0; ids->apart && i < 2; i++) {
		int fd = openat(h->config_dir, names[i],
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue; /* not there: the vault says so */
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		    st.st_uid == 0 && st.st_nlink == 1)
			(void)!fchown(fd, ids->uid[LINK_VAULT],
			    ids->gid[LINK_VAULT]); /* the vault will say */
		close(fd);
	}
}

void
home_close(struct home *h)
{
	/* What is gone already need not be removed. */
	(void)unlinkat(h->run_dir, "vault.sock", 0);
	(void)unlinkat(h->run_dir, "admin.sock", 0);
	(void)unlinkat(h->run_dir, PID_FILE, 0);
	close(h->pid_file);
}
