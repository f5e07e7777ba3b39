/* SPDX-License-Identifier: ISC */
/* What for: which host paths a sandbox may see. Trusts: the password
 * database and HOME, both, for where home is: each only adds refusals. At a
 * bound (a path too long): refused. */
#include "cli/sandbox_places.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Below home: secrets, or doors to the desktop. */
static const char *const in_home[] = {".ssh", ".gnupg", ".pki", ".aws",
    ".azure", ".kube", ".docker", ".oci", ".config/gh", ".config/hub",
    ".config/glab-cli", ".config/gcloud", ".config/git", ".config/op",
    ".config/doctl", ".config/containers", ".config/rclone", ".config/sops",
    ".config/hatcheck", ".config/google-chrome", ".config/chromium",
    ".config/BraveSoftware", ".config/microsoft-edge", ".config/Code",
    ".config/Cursor", ".config/autostart", ".config/systemd", ".config/fish",
    ".config/1Password", ".config/keybase", ".config/composer", ".config/pip",
    ".config/huggingface", ".local/share/keyrings", ".local/share/kwalletd",
    ".local/share/applications", ".local/state/hatcheck", ".local/bin",
    ".password-store", ".mozilla", ".thunderbird", ".netrc", ".git-credentials",
    ".gitconfig", ".npmrc", ".yarnrc.yml", ".pypirc", ".cargo/credentials",
    ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml",
    ".gradle/gradle.properties", ".vault-token", ".terraform.d", ".terraformrc",
    ".pgpass", ".my.cnf", ".claude", ".claude.json", ".codex", ".gemini",
    ".cache/huggingface/token", ".bashrc", ".bash_profile", ".profile",
    ".zshrc", ".zshenv", ".bash_history", ".zsh_history", ".vim", ".emacs.d",
    ".var/app", "snap", ".config/keepassxc", ".config/Bitwarden", ".boto",
    ".s3cfg", ".databrickscfg", ".snowflake", ".config/stripe",
    ".config/heroku", ".config/configstore", ".config/helm", ".minikube",
    ".bundle/config", ".nuget", ".ansible", ".dockercfg", ".fly"};

/* Not these, nor what is in them, whatever is said. */
static const char *const never[] = {"/dev", "/proc", "/sys", "/etc/hatcheck",
    "/run/hatcheck", "/var/lib/hatcheck", "/var/log/hatcheck"};

/* Not these, nor what is in them, unless exposed. */
static const char *const trees[] = {"/run", "/var/run", "/etc", "/boot",
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/private"};

/* Not these as a whole: other people's homes, agents' sockets. */
static const char *const wholes[] = {"/home", "/tmp", "/var/tmp", "/var",
    "/var/lib", "/mnt", "/media", "/srv", "/opt", "/usr", "/usr/local"};

static const char *const programs[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* a is b, or below it. */
static bool
within(const char *a, const char *b)
{
	size_t n = strlen(b);

	while (n > 1 && b[n - 1] == '/')
		n--;
	if (n == 1)
		return true;
	return strncmp(a, b, n) == 0 && (a[n] == '\0' || a[n] == '/');
}

static char reason[2 * PATH_MAX];

static const char *
clause(const char *how, const char *what)
{
	(void)snprintf(reason, sizeof(reason), "%s %s", how, what);
	return reason;
}

/* A place whose every touch is refused. */
static const char *
touches(const char *path, const char *place)
{
	if (strcmp(path, place) == 0)
		return clause("it is", place);
	if (within(path, place))
		return clause("it is inside", place);
	return within(place, path) ? clause("it holds", place) : NULL;
}

static const char *
judge_trees(const char *path, const char *const list[], size_t n)
{
	const char *why = NULL;

	for (size_t i = 0; why == NULL && i < n; i++)
		why = list[i][0] == '\0' ? NULL : touches(path, list[i]);
	return why;
}

static const char *
judge_home(const char *path, enum place_use use, const char *home)
{
	char place[PATH_MAX];
	const char *why = NULL;

	if (strcmp(path, home) == 0)
		return "it is the home directory itself, with every key in it";
	if (within(home, path))
		return clause("it holds the home directory", home);
	for (size_t i = 0;
	     use != PLACE_EXPOSE && why == NULL && i < COUNT(in_home); i++) {
		int n =
		    snprintf(place, sizeof(place), "%s/%s", home, in_home[i]);

		if (n < 0 || (size_t)n >= sizeof(place))
			return "the name of the home directory is too long";
		why = touches(path, place);
	}
	return why;
}

static const char *
judge_write(const char *path)
{
	for (size_t i = 0; i < COUNT(programs); i++)
		if (within(path, programs[i]))
			return clause(
			    "it is among the programs in", programs[i]);
	return strstr(path, "/.git/") != NULL
		   ? "it is inside git's own directory"
		   : NULL;
}

const char *
places_judge(const char *path, enum place_use use, const char *home,
    const char *const own[], size_t n_own)
{
	const char *why;

	if (path[0] != '/' || strcmp(path, "/") == 0)
		return "it is the whole machine";
	for (size_t i = 0; i < COUNT(wholes); i++)
		if (strcmp(path, wholes[i]) == 0)
			return "it is too much: name a directory in it";
	why = judge_trees(path, never, COUNT(never));
	if (why == NULL)
		why = judge_trees(path, own, n_own);
	if (why == NULL && use != PLACE_EXPOSE)
		why = judge_trees(path, trees, COUNT(trees));
	if (why == NULL && use == PLACE_WRITE)
		why = judge_write(path);
	if (why == NULL && home != NULL && strcmp(home, "/") != 0)
		why = judge_home(path, use, home);
	return why;
}

/* Links resolved; a path that does not exist stays as it is. */
static const char *
resolved(const char *path, char out[static PATH_MAX])
{
	if (path == NULL || path[0] != '/')
		return NULL;
	if (realpath(path, out) == NULL)
		(void)snprintf(out, PATH_MAX, "%s", path);
	return out;
}

static const char *
judge(const struct cli *cli, const char *path, enum place_use use)
{
	char config[PATH_MAX], state[PATH_MAX], run[PATH_MAX], log[PATH_MAX];
	char house[PATH_MAX] = "", home[PATH_MAX];
	const struct passwd *pw = getpwuid(geteuid());
	const char *why;
	const char *own[] = {resolved(cli->paths.config, config),
	    resolved(cli->paths.state, state), resolved(cli->paths.run, run),
	    resolved(cli->paths.log, log), house};

	if (cli->home != NULL)
		(void)resolved(cli->home, house);
	for (size_t i = 0; i < COUNT(own); i++)
		if (own[i] == NULL)
			return "where our own state is, is not known";
	why = places_judge(
	    path, use, resolved(getenv("HOME"), home), own, COUNT(own));
	if (why == NULL && pw != NULL)
		why = places_judge(
		    path, use, resolved(pw->pw_dir, home), own, COUNT(own));
	return why;
}

static bool
kind_is_good(mode_t mode, enum place_use use)
{
	return S_ISDIR(mode) || S_ISREG(mode) ||
	       (use == PLACE_EXPOSE && S_ISSOCK(mode));
}

static const char *
remedy(enum place_use use)
{
	return use == PLACE_EXPOSE
		   ? "--expose a narrower one"
		   : "cd to a project directory, --bind a narrower one, or "
		     "--expose it: that lets keys in it leak";
}

int
places_check(const struct cli *cli, const char *what, const char *path,
    enum place_use use, char out[static PATH_MAX], struct cli_error *e)
{
	const char *why = NULL;
	struct stat st;

	if (realpath(path, out) == NULL || stat(out, &st) != 0)
		return cli_error(e, CLI_RUN_FAILED, what, "", "%s: %s", path,
		    strerror(errno));
	why = kind_is_good(st.st_mode, use)
		  ? judge(cli, out, use)
		  : "it is no directory and no plain file";
	if (why == NULL)
		return 0;
	return cli_error(e, CLI_RUN_FAILED, what, remedy(use),
	    "%s is not let into a sandbox: %s", out, why);
}
