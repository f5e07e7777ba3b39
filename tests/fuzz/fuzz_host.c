/* SPDX-License-Identifier: ISC */
/* Hosts, authorities, patterns: canon(canon(x)) == canon(x). */
#include "scope/grant.h"
#include "scope/host.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	struct host a, b;
	struct grant_host g, h;
	char p[HOST_MAX], q[HOST_MAX], text[HOST_MAX + 6];
	uint16_t port;

	if (host_parse(in, &a) == 0) {
		MUST(host_parse(span_str(a.name), &b) == 0);
		MUST(strcmp(a.name, b.name) == 0 && a.is_ip == b.is_ip);
		MUST(strpbrk(a.name, "%@\\/ _#?") == NULL);
	}
	if (host_parse_authority(in, 0, &a, &port) == 0)
		MUST(port != 0 && strlen(a.name) < HOST_MAX);
	if (host_pattern_parse(in, p) == 0) {
		MUST(host_pattern_parse(span_str(p), q) == 0);
		MUST(strcmp(p, q) == 0 && host_pattern_within(p, q));
	}
	if (grant_host_parse(in, &g) == 0) {
		grant_host_text(&g, text);
		MUST(grant_host_parse(span_str(text), &h) == 0);
		MUST(strcmp(g.pattern, h.pattern) == 0 && g.port == h.port);
	}
	return 0;
}
