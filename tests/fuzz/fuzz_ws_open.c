/* SPDX-License-Identifier: ISC */
/* Opening handshakes: what passes as a request has one key of 16 bytes; what
 * passes as its answer has one accept, and no extension. */
#include "egress/courier/ws_open.h"
#include "messages/traffic.h"
#include "tests/fuzz/fuzz.h"

#include <sodium.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char key[WS_KEY_MAX] = "dGhlIHNhbXBsZSBub25jZQ==";
	const char *why = NULL;
	struct span list = span_of(data, size), name, value;
	struct head h;

	MUST(sodium_init() >= 0);
	if (ws_open_request(span_str("GET"), list, key, &why) == 0)
		MUST(strlen(key) == 24);
	else
		MUST(why != NULL);
	head_init(&h);
	while (headers_next(&list, &name, &value) == 0 &&
	       head_add(&h, name, value) == 0)
		;
	why = NULL;
	if (ws_open_answer(&h, key, span_of(data, size), &why) == 0)
		MUST(head_count(&h, "sec-websocket-accept") == 1 &&
		     head_count(&h, "sec-websocket-extensions") == 0);
	else
		MUST(why != NULL);
	head_clear(&h);
	return 0;
}
