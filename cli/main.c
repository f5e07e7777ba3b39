/* SPDX-License-Identifier: ISC */
/* What for: hatcheck, the command line. Trusts: its user. At a bound: says
 * so and exits with a documented status (hatcheck(1)). */
#include "cli/help.h"
#include "cli/parse.h"

#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Where this program lies: its helpers and presets are beside it. */
static int
find_bindir(char out[static PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

	if (n <= 0)
		return ERR_IO;
	out[n] = '\0';
	char *slash = strrchr(out, '/');
	if (slash == NULL)
		return ERR_FORMAT;
	*slash = '\0';
	return 0;
}

/* Our directories, and the home as everybody sees it: absolute, links
 * resolved. */
static int
find_home(struct cli *cli, const char *home, struct cli_error *e)
{
	static char absolute[PATH_MAX];
	int r = paths_find(home, &cli->paths);

	if (r != 0)
		return home != NULL
			   ? cli_error_from(e, r, "use --home",
				 r == ERR_DENIED
				     ? "name the real directory: a link on "
				       "the way belongs to somebody else"
				     : "mkdir the directory above it")
			   : cli_error(e, CLI_FAILED, "find our directories",
				 "--home DIR",
				 "you have no home directory that is known");
	if (home == NULL)
		return 0;
	if (span_copy(span_str(cli->paths.config), absolute, PATH_MAX) != 0)
		abort();
	*strrchr(absolute, '/') = '\0'; /* it ends in /config */
	cli->home = absolute;
	return 0;
}

/* Credentials pass through: no core may show one, nobody may look in. */
static void
harden(void)
{
	struct rlimit none = {0};

	if (setrlimit(RLIMIT_CORE, &none) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0) != 0)
		abort();
	(void)signal(SIGPIPE, SIG_IGN); /* cannot fail */
}

static int
dispatch(struct parsed *p, struct cli *cli, struct cli_error *e)
{
	if (p->help) {
		help_print(stdout, p->group, p->args.verb);
		return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
	}
	if (find_bindir(cli->bindir) != 0) {
		(void)cli_error(e, CLI_FAILED, "find this program",
		    "mount /proc", "/proc/self/exe cannot be read");
		return cli_report(cli, e);
	}
	if (find_home(cli, p->home, e) != 0 && !p->args.verb->homeless)
		return cli_report(cli, e);
	return p->args.verb->run(cli, &p->args);
}

int
main(int argc, char **argv)
{
	static struct parsed p;
	struct cli cli = {0};
	struct cli_error e = {0};

	harden();
	(void)setlocale(LC_TIME, ""); /* for times only */
	if (sodium_init() < 0)
		abort();
	p.args.words = calloc((size_t)argc + 1, sizeof(*p.args.words));
	if (p.args.words == NULL)
		abort();
	int r = verb_parse(argc, argv, &p, &e);
	cli.json = p.json;
	r = r != 0 ? cli_report(&cli, &e) : dispatch(&p, &cli, &e);
	free(p.args.words);
	return r;
}
