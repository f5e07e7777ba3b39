/* SPDX-License-Identifier: ISC */
/* What for: is what we stand on as it should be, and how to mend it.
 * Trusts: the kernel. At a bound: a check that cannot be made is a
 * warning. */
#include "cli/verbs.h"

#include "cli/admin.h"
#include "cli/daemon.h"
#include "cli/key_source.h"
#include "cli/text.h"
#include "cli/vault_client.h"
#include "lib/jail.h"
#include "lib/link.h"
#include "lib/safefile.h"
#include "lib/unixsock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMLOCK_MIN (4 * 1024 * 1024)
#define SPACE_MIN (64 * 1024 * 1024)
#define BACK_STEP_S 60

enum health { GOOD, WARN, BAD };

struct finding {
	enum health health;
	char text[512];
	char mend[256];
};

static void __attribute__((format(printf, 4, 5)))
found(struct finding *f, enum health h, const char *mend, const char *fmt, ...)
{
	va_list ap;

	f->health = h;
	(void)snprintf(f->mend, sizeof(f->mend), "%s", mend);
	va_start(ap, fmt);
	(void)vsnprintf(f->text, sizeof(f->text), fmt, ap); /* cut */
	va_end(ap);
}

/* --- installation ----------------------------------------------------- */

static void
check_programs(struct cli *cli, struct finding *f)
{
	static const char *const names[] = {"hatcheckd", "hatcheck-vault",
	    "hatcheck-minter", "hatcheck-dialer", "hatcheck-gate",
	    "hatcheck-courier", "hatcheck-guest"};
	char path[PATH_MAX];
	struct cli_error e;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (daemon_program(cli, names[i], path, &e) != 0) {
			found(f, BAD, e.next, "%s", e.why);
			return;
		}
	}
	found(f, GOOD, "", "all there, build %s%s", link_build_id(),
	    jail_sanitized() ? "; a sanitizer build, not for real keys" : "");
}

/* Root runs each role as a user of its own; others run all as themselves. */
static void
check_users(struct cli *cli, struct finding *f)
{
	static const char *const names[] = {"_hatcheck-vault",
	    "_hatcheck-minter", "_hatcheck-dialer", "_hatcheck-gate",
	    "_hatcheck-courier"};

	(void)cli;
	if (geteuid() != 0) {
		found(f, GOOD, "", "all as you");
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (getpwnam(names[i]) == NULL) {
			found(f, BAD,
			    "systemd-sysusers, with packaging's sysusers.d",
			    "there is no user %s", names[i]);
			return;
		}
	}
	found(f, GOOD, "", "one for each role");
}

static void
check_directory(const char *path, struct finding *f)
{
	char why[400] = "";
	struct stat st;
	int fd, r = safefile_dir(path, false, &fd, why, sizeof(why));

	if (r == ERR_NOT_FOUND) {
		found(f, WARN, "hatcheck init", "%s: not made yet", path);
		return;
	}
	if (r != 0) {
		found(f, BAD, "see hatcheck(1), FILES", "%s",
		    why[0] == '\0' ? err_text(r) : why);
		return;
	}
	if (fstat(fd, &st) == 0 && (st.st_mode & 0022) != 0)
		found(f, BAD, "chmod 700", "%s: others may write there", path);
	else
		found(f, GOOD, "", "%s", path);
	close(fd);
}

static void
check_config(struct cli *cli, struct finding *f)
{
	check_directory(cli->paths.config, f);
}

static void
check_state(struct cli *cli, struct finding *f)
{
	check_directory(cli->paths.state, f);
}

static void
check_run(struct cli *cli, struct finding *f)
{
	check_directory(cli->paths.run, f);
}

static void
check_log(struct cli *cli, struct finding *f)
{
	check_directory(cli->paths.log, f);
}

/* --- daemon and vault ------------------------------------------------- */

static void
check_daemon(struct cli *cli, struct finding *f)
{
	struct cli_error e;
	json_t *s = NULL;
	const json_t *row;
	size_t i;

	if (admin_call(cli, "status", NULL, &s, &e) != 0) {
		found(f, e.code == CLI_NOT_RUNNING ? WARN : BAD, e.next, "%s",
		    e.why);
		return;
	}
	found(f, GOOD, "", "runs, version %s", cli_string(s, "version"));
	json_array_foreach (json_object_get(s, "processes"), i, row) {
		const char *state = cli_string(row, "state");
		/* A session's are dead for a moment when it ends. */
		bool dead = strcmp(state, "dead") == 0 &&
			    cli_string(row, "session")[0] == '\0';
		if (dead || strcmp(state, "backing-off") == 0)
			found(f, BAD, "hatcheck logs", "%s is %s",
			    cli_string(row, "role"), state);
	}
	if (strcmp(cli_string(s, "build"), link_build_id()) != 0)
		found(f, BAD, "hatcheck stop; hatcheck start",
		    "runs as build %s, this is %s", cli_string(s, "build"),
		    link_build_id());
	json_decref(s);
}

/* A socket file at which nobody listens. */
static void
check_sockets(struct cli *cli, struct finding *f)
{
	static const char *const names[] = {"admin.sock", "vault.sock"};
	char path[PATH_MAX];
	int fd;

	found(f, GOOD, "", "no stale ones");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (paths_join(cli->paths.run, names[i], path) != 0)
			continue;
		int r = unixsock_connect(path, &fd);
		if (r == 0)
			close(fd);
		if (r == ERR_UNAVAILABLE)
			found(f, WARN, "hatcheck start",
			    "%s is left over from a daemon that is gone", path);
		else if (r == ERR_DENIED)
			found(f, BAD, "use the account that runs the daemon",
			    "%s may not be used by you", path);
	}
}

static void
check_choice(struct cli *cli, struct finding *f)
{
	json_t *source = NULL;
	struct cli_error e;
	char text[400];
	struct stat st;

	if (key_source_load(cli, &source, &e) != 0) {
		found(f, BAD, "mend or remove config/vault.json", "%s", e.why);
		return;
	}
	if (source == NULL) {
		found(f, WARN, "hatcheck init", "none was chosen yet");
		return;
	}
	key_source_text(source, text, sizeof(text));
	found(f, GOOD, "", "%s", text);
	const char *path = cli_string(source, "path");
	if (path[0] != '\0' && lstat(path, &st) != 0)
		found(f, BAD, "bring the key file back from a backup", "%s: %s",
		    path, strerror(errno));
	else if (path[0] != '\0' &&
		 (!S_ISREG(st.st_mode) || (st.st_mode & 0077) != 0 ||
		     (st.st_uid != geteuid() && st.st_uid != 0)))
		found(f, BAD, "chown to yourself, chmod 600",
		    "%s can be read by others, or is no plain file", path);
	json_decref(source);
}

static void
check_vault(struct cli *cli, struct finding *f)
{
	struct cli_error e;
	json_t *s = NULL;

	if (vault_call(cli, "status", "ask the vault", NULL, NULL, &s, &e) !=
	    0) {
		found(f, e.code == CLI_NOT_RUNNING ? WARN : BAD, e.next, "%s",
		    e.why);
		return;
	}
	const char *state = cli_string(s, "state"), *why = cli_string(s, "why");
	bool open = strcmp(state, "open") == 0;
	bool locked = strcmp(state, "locked") == 0;
	bool unmade = strcmp(state, "uninitialised") == 0;
	found(f,
	    open     ? GOOD
	    : locked ? WARN
		     : BAD,
	    open     ? ""
	    : locked ? "hatcheck unlock"
	    : unmade ? "hatcheck init"
		     : "hatcheck logs",
	    "%s: %s%s%s", cli_string(s, "backend"), state,
	    why[0] == '\0' ? "" : ", ", why);
	json_decref(s);
}

static void
check_closed_logs(const json_t *list, struct finding *f)
{
	const json_t *o;
	size_t i;

	json_array_foreach (list, i, o) {
		if (strcmp(cli_string(o, "state"), "full") == 0)
			found(f, BAD,
			    "a new session, or more audit_bytes in "
			    "hatcheckd.yaml",
			    "the log of %s is full; nothing of it is "
			    "forwarded",
			    cli_string(o, "guest"));
		else
			found(f, BAD, "make room, then a new session",
			    "the log of %s cannot be written; nothing of it "
			    "is forwarded",
			    cli_string(o, "guest"));
	}
}

static void
check_audit(struct cli *cli, struct finding *f)
{
	char path[PATH_MAX];
	struct statvfs fs;
	struct cli_error e;
	json_t *s = NULL;

	if (paths_join(cli->paths.log, "audit", path) != 0 ||
	    statvfs(path, &fs) != 0) {
		found(f, errno == ENOENT ? WARN : BAD, "hatcheck init",
		    "%s: %s", path, strerror(errno));
		return;
	}
	found(f, GOOD, "", "%s", path);
	if ((fs.f_flag & ST_RDONLY) != 0)
		found(f, BAD, "remount it writable",
		    "%s is read-only: nothing is forwarded", path);
	else if ((uint64_t)fs.f_bavail * fs.f_frsize < SPACE_MIN)
		found(f, WARN, "make room", "less than 64 MiB are free at %s",
		    path);
	if (admin_call(cli, "status", NULL, &s, &e) != 0)
		return; /* said elsewhere */
	const char *audit = cli_string(s, "audit");
	if (audit[0] != '\0' && strcmp(audit, "ok") != 0)
		found(f, BAD, "make room, then hatcheck stop; hatcheck start",
		    "the audit log failed: %s; nothing is forwarded", audit);
	check_closed_logs(json_object_get(s, "closed_logs"), f);
	json_decref(s);
}

/* --- kernel ----------------------------------------------------------- */

static void
check_landlock(struct cli *cli, struct finding *f)
{
	int abi = jail_landlock_abi();

	(void)cli;
	if (abi == 0)
		found(f, WARN, "a kernel with Landlock (5.13 or later, lsm=)",
		    "not there: one wall less around each process");
	else
		found(f, GOOD, "", "ABI %d", abi);
}

static void
check_seccomp(struct cli *cli, struct finding *f)
{
	char line[256] = "";
	FILE *file = fopen("/proc/sys/kernel/seccomp/actions_avail", "re");

	(void)cli;
	if (file != NULL && fgets(line, sizeof(line), file) != NULL &&
	    strstr(line, "trap") != NULL)
		found(f, GOOD, "", "filters with traps");
	else
		found(f, BAD, "a kernel with CONFIG_SECCOMP_FILTER",
		    "the kernel does not tell of seccomp filters");
	if (file != NULL)
		fclose(file);
}

/* Run in a child; 0 when its exit status was 0. */
static int
in_child(int (*act)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(act());
	while (pid > 0 && waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
try_namespaces(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID) == 0 ? 0
									 : 1;
}

static void
check_namespaces(struct cli *cli, struct finding *f)
{
	(void)cli;
	if (in_child(try_namespaces) == 0)
		found(f, GOOD, "", "user, network and process namespaces");
	else
		found(f, geteuid() == 0 ? WARN : BAD,
		    "sysctl kernel.unprivileged_userns_clone=1, or an AppArmor "
		    "profile for bwrap",
		    "user namespaces are forbidden: hatcheck run cannot work");
}

static int
try_bubblewrap(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(null, 2) < 0)
		return 1;
	execl("/usr/bin/bwrap", "bwrap", "--unshare-all", "--die-with-parent",
	    "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--",
	    "/bin/true", (char *)NULL);
	return 127;
}

static void
check_bubblewrap(struct cli *cli, struct finding *f)
{
	int r = in_child(try_bubblewrap);

	(void)cli;
	if (r == 0)
		found(f, GOOD, "", "works, without network");
	else if (r == 127)
		found(f, WARN, "apt install bubblewrap",
		    "/usr/bin/bwrap is not there: hatcheck run needs it");
	else
		found(f, WARN, "bwrap --unshare-all --ro-bind / / true",
		    "it does not get a sandbox up here (status %d)", r);
}

static void
check_memlock(struct cli *cli, struct finding *f)
{
	struct rlimit limit;

	(void)cli;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		found(f, WARN, "", "%s", strerror(errno));
	else if (geteuid() != 0 && limit.rlim_cur < MEMLOCK_MIN)
		found(f, BAD, "ulimit -l 8192, or LimitMEMLOCK=8M",
		    "only %llu KiB may be locked",
		    (unsigned long long)limit.rlim_cur / 1024);
	else
		found(f, GOOD, "", "enough memory may be locked");
}

/* --- clock and trust -------------------------------------------------- */

/* The youngest file that we wrote must not lie in the future. */
static time_t
youngest(const char *path)
{
	time_t newest = 0;
	struct dirent *d;
	struct stat st;
	DIR *dir = opendir(path);

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
			0 &&
		    S_ISREG(st.st_mode) && st.st_mtime > newest)
			newest = st.st_mtime;
	}
	if (dir != NULL)
		closedir(dir);
	return newest;
}

static void
check_clock(struct cli *cli, struct finding *f)
{
	struct timex t = {0};
	char path[PATH_MAX];
	time_t now = time(NULL), newest = 0;

	if (paths_join(cli->paths.log, "audit", path) == 0)
		newest = youngest(path);
	if (newest > now + BACK_STEP_S)
		found(f, BAD,
		    "set the clock; if it is right, hatcheck stop and start: "
		    "no token is made until then",
		    "it stepped back: the audit log is %lld s ahead of it",
		    (long long)(newest - now));
	else if (adjtimex(&t) == TIME_ERROR)
		found(f, WARN, "run a time service",
		    "no time service says that it is right");
	else
		found(f, GOOD, "", "synchronised");
}

static void
check_ca(struct cli *cli, struct finding *f)
{
	size_t hashed = 0;
	struct dirent *d;
	DIR *dir = opendir("/etc/ssl/certs");

	(void)cli;
	while (dir != NULL && (d = readdir(dir)) != NULL) {
		size_t n = strlen(d->d_name);
		hashed += n == 10 && strcmp(d->d_name + n - 2, ".0") == 0;
	}
	if (dir != NULL)
		closedir(dir);
	if (hashed == 0)
		found(f, BAD, "apt install ca-certificates",
		    "/etc/ssl/certs has no hashed certificates: no upstream "
		    "can be verified");
	else
		found(f, GOOD, "", "/etc/ssl/certs, %zu authorities", hashed);
}

/* --- all of them ------------------------------------------------------ */

static const struct check {
	const char *name;
	void (*run)(struct cli *cli, struct finding *f);
} checks[] = {
    {"programs", check_programs},
    {"users", check_users},
    {"config", check_config},
    {"state", check_state},
    {"run", check_run},
    {"log", check_log},
    {"daemon", check_daemon},
    {"sockets", check_sockets},
    {"vault choice", check_choice},
    {"vault", check_vault},
    {"audit", check_audit},
    {"landlock", check_landlock},
    {"seccomp", check_seccomp},
    {"namespaces", check_namespaces},
    {"bubblewrap", check_bubblewrap},
    {"locked memory", check_memlock},
    {"clock", check_clock},
    {"authorities", check_ca},
};
#define N_CHECKS (sizeof(checks) / sizeof(checks[0]))

static const char *const words[] = {
    [GOOD] = "good", [WARN] = "warning", [BAD] = "bad"};

static int
print_findings(const struct finding *all)
{
	static const char *const headings[] = {"CHECK", "", "FINDING", NULL};
	struct text_table *t = text_table_new(headings);

	if (t == NULL)
		return CLI_FAILED;
	for (size_t i = 0; i < N_CHECKS; i++) {
		text_table_row(t, (const char *[]){checks[i].name,
				      words[all[i].health], all[i].text});
		if (all[i].mend[0] == '\0')
			continue;
		char mend[300];
		(void)snprintf(mend, sizeof(mend), "  mend: %s", all[i].mend);
		text_table_row(t, (const char *[]){" ", " ", mend});
	}
	int r = text_table_print(t, stdout);
	text_table_free(t);
	return r == 0 ? CLI_OK : CLI_FAILED;
}

static int
findings_json(const struct finding *all, size_t bad)
{
	json_t *list = json_array();

	for (size_t i = 0; i < N_CHECKS; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s+, s:s+}", "name", checks[i].name,
			"state", words[all[i].health], "finding", all[i].text,
			"", "mend", all[i].mend, ""));
	json_t *j = json_pack("{s:o, s:i}", "checks", list, "bad", (int)bad);
	int r = j == NULL ? CLI_FAILED : cli_print_json(j);
	json_decref(j);
	return r;
}

int
doctor_run(struct cli *cli, const struct args *a)
{
	struct finding all[N_CHECKS] = {0};
	size_t bad = 0;

	(void)a;
	for (size_t i = 0; i < N_CHECKS; i++) {
		checks[i].run(cli, &all[i]);
		bad += all[i].health == BAD;
	}
	int r = cli->json ? findings_json(all, bad) : print_findings(all);
	return r != 0 ? r : bad == 0 ? CLI_OK : CLI_CHECK_FAILED;
}
