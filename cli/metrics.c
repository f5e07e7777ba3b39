/* SPDX-License-Identifier: ISC */
/* What for: `hatcheck metrics`. Trusts: the daemon. At a bound: an answer
 * that is too long is an error. */
#include "cli/admin.h"
#include "cli/verbs.h"

#include <stdio.h>

#define TEXT_MAX (1024 * 1024)

static int
show(const struct cli *cli, struct span text)
{
	if (!cli->json)
		return fwrite(text.p, 1, text.n, stdout) == text.n &&
			       fflush(stdout) == 0
			   ? CLI_OK
			   : CLI_FAILED;
	json_t *j = json_pack(
	    "{s:o}", "text", json_stringn((const char *)text.p, text.n));
	int code = j == NULL ? CLI_FAILED : cli_print_json(j);
	json_decref(j);
	return code;
}

int
metrics_run(struct cli *cli, const struct args *a)
{
	struct buf *text = buf_new(TEXT_MAX);
	struct cli_error e = {0};
	int code;

	(void)a;
	if (text == NULL)
		(void)cli_error_from(&e, ERR_NOMEM, "metrics", NULL);
	if (text == NULL || admin_text(cli, "metrics", text, &e) != 0)
		code = cli_report(cli, &e);
	else
		code = show(cli, buf_span(text));
	buf_free(text);
	return code;
}
