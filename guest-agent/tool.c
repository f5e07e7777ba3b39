/* SPDX-License-Identifier: ISC */
/*
 * A child with its input and output in anonymous files.
 * Trusts PATH: who calls us may run all of that.
 * Output over the limit is cut; what cannot be started is absent.
 */
#include "guest-agent/tool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int
file_of(const char *input)
{
	int fd = memfd_create("hatcheck-guest", MFD_CLOEXEC);
	size_t n = input == NULL ? 0 : strlen(input);

	if (fd < 0 || (n > 0 && write(fd, input, n) != (ssize_t)n) ||
	    lseek(fd, 0, SEEK_SET) != 0)
		die(EXIT_FAILED, "no anonymous file: %s", strerror(errno));
	return fd;
}

_Noreturn static void
child(const char *const words[], int in, int out)
{
	if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
		execvp(words[0], (char *const *)words);
	_exit(errno == ENOENT ? TOOL_ABSENT : EXIT_NOT_RUNNABLE);
}

static void
read_back(int fd, struct text *said)
{
	char buf[TOOL_SAID];
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	if (n > 0)
		text_add(said, buf, (size_t)n);
}

int
tool_run(const char *const words[], const char *input, struct text *said)
{
	int in = file_of(input), out = file_of(NULL), status = 0;
	pid_t pid = fork();

	if (pid == 0)
		child(words, in, out);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		die(EXIT_FAILED, "%s: %s", words[0], strerror(errno));
	if (said != NULL)
		read_back(out, said);
	close(in);
	close(out);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}
