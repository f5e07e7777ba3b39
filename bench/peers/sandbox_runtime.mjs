// SPDX-License-Identifier: ISC
// The HTTP proxy of @anthropic-ai/sandbox-runtime with TLS termination, as
// its own manager starts it: allowlist, request filter, changed headers.
// usage: node sandbox_runtime.mjs MODULE-DIR PORT CA-CERT CA-KEY ORIGIN-CA
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [dir, port, caCertPath, caKeyPath, originCa] = process.argv.slice(2);
const load = (name) =>
	import(pathToFileURL(`${dir}/dist/sandbox/${name}.js`).href);
const { createHttpProxyServer } = await load('http-proxy');
const { createMitmCA } = await load('mitm-ca');
const mitmCA = await createMitmCA({ caCertPath, caKeyPath });
const server = createHttpProxyServer({
	filter: (_port, host) => host === 'localhost',
	mitmCA,
	filterRequest: async (request) => ({
		action: (request.request ?? request).headers.get('x-token') ===
			process.env.TOKEN ? 'allow' : 'deny',
	}),
	mutateHeaders: (headers) => {
		delete headers['x-token'];
		headers.authorization = `Bearer ${process.env.KEY}`;
	},
	tlsTerminateUpstreamCA: readFileSync(originCa),
	// The resolver alone: the origin of a benchmark is on loopback.
	lookupFor: undefined,
});
server.listen(Number(port), '127.0.0.1');
