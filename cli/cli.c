/* SPDX-License-Identifier: ISC */
/* What for: errors and output of every verb. Trusts: nothing that it shows:
 * foreign text is escaped. At a bound: cuts. */
#include "cli/cli.h"

#include "cli/text.h"
#include "lib/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int
cli_error(struct cli_error *e, int code, const char *what, const char *next,
    const char *why, ...)
{
	va_list ap;

	e->code = code;
	(void)snprintf(e->what, sizeof(e->what), "%s", what); /* cut */
	(void)snprintf(
	    e->next, sizeof(e->next), "%s", next == NULL ? "" : next);
	va_start(ap, why);
	(void)vsnprintf(e->why, sizeof(e->why), why, ap);
	va_end(ap);
	return code;
}

static int
code_of(int err)
{
	switch (err) {
	case ERR_NOT_FOUND:
		return CLI_NOT_FOUND;
	case ERR_DENIED:
		return CLI_DENIED;
	case ERR_LOCKED:
		return CLI_LOCKED;
	case ERR_ARGUMENT:
		return CLI_USAGE;
	default:
		return CLI_FAILED;
	}
}

int
cli_error_from(struct cli_error *e, int err, const char *what, const char *next)
{
	return cli_error(e, code_of(err), what, next, "%s", err_text(err));
}

static void
report_json(const struct cli_error *e)
{
	json_t *j = json_pack("{s:s+, s:s+, s:s+, s:i}", "title", e->what, "",
	    "detail", e->why, "", "next", e->next, "", "exit", e->code);
	char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);

	/* Text that is not UTF-8 makes no JSON: the code still tells. */
	(void)fprintf(
	    stderr, "%s\n", text == NULL ? "{\"title\":\"failed\"}" : text);
	free(text);
	json_decref(j);
}

int
cli_report(const struct cli *cli, const struct cli_error *e)
{
	char what[512], why[4096], next[2048];

	(void)fflush(stdout); /* what was shown so far comes first */
	if (cli->json) {
		report_json(e);
		return e->code;
	}
	text_escape(span_str(e->what), true, what, sizeof(what));
	text_escape(span_str(e->why), true, why, sizeof(why));
	text_escape(span_str(e->next), true, next, sizeof(next));
	(void)fprintf(stderr, "hatcheck: %s: %s\n", what, why);
	if (next[0] != '\0')
		(void)fprintf(stderr, "  next: %s\n", next);
	return e->code;
}

void
cli_note(const struct cli *cli, const char *fmt, ...)
{
	char line[2048], shown[4096];
	va_list ap;

	if (cli->json)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* cut */
	va_end(ap);
	text_escape(span_str(line), true, shown, sizeof(shown));
	(void)fprintf(stderr, "%s\n", shown);
}

int
cli_print_json(const json_t *document)
{
	size_t flags = isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT;

	if (json_dumpf(document, stdout, flags | JSON_ENCODE_ANY) != 0 ||
	    putchar('\n') == EOF || fflush(stdout) != 0)
		return CLI_FAILED;
	return CLI_OK;
}

const char *
cli_string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s == NULL ? "" : s;
}

const char *
cli_time(int64_t t, char out[static 32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (t <= 0 || localtime_r(&when, &tm) == NULL ||
	    strftime(out, 32, "%Y-%m-%d %H:%M", &tm) == 0)
		(void)memcpy(out, "-", 2);
	return out;
}
