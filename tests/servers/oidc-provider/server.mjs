// A foreign OpenID provider, in memory, on a free loopback port: its issuer is the first line it prints.
// Its clients are the first argument, as JSON. Its sign-in page takes any subject, and the claims to tell of it.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'

const jwk = (pair, alg) => ({ ...pair.privateKey.export({ format: 'jwk' }), use: 'sig', alg })
const told = new Map()
let provider
let callback

// Listening comes first: the issuer has the port.
const server = createServer((request, response) => handle(request, response))
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  provider = new Provider(issuer, {
    clients: JSON.parse(process.argv[2]),
    jwks: {
      keys: [
        jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }), 'RS256'),
        jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }), 'ES256'),
      ],
    },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'profile', 'email', 'groups'],
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...told.get(sub) }) }),
    // Whoever signs in has agreed.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId })
      grant.addOIDCScope('openid profile email groups')
      await grant.save()
      return grant
    },
  })
  callback = provider.callback()
  console.log(issuer)
})

// The tests hold the other end of this pipe: when they are gone, however they went, so is the server.
process.stdin.on('end', () => process.exit()).resume()

async function handle(request, response) {
  if (!request.url.startsWith('/interaction/')) return callback(request, response)
  const { uid, params } = await provider.interactionDetails(request, response)
  if (request.method === 'GET') {
    response.setHeader('Content-Type', 'text/html')
    return response.end(
      `<h1>The other provider</h1><form method="post" action="/interaction/${uid}">` +
        `<label>Subject <input name="sub" value="${(params.login_hint ?? '').replace(/[^\w@.-]/g, '')}"></label>` +
        '<label>Claims <input name="claims" value="{}"></label><button>Sign in</button></form>',
    )
  }
  let body = ''
  for await (const piece of request) body += piece
  const form = new URLSearchParams(body)
  told.set(form.get('sub'), JSON.parse(form.get('claims')))
  await provider.interactionFinished(request, response, { login: { accountId: form.get('sub') } })
}
