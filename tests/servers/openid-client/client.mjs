// A program that uses openid-client as its documentation says. It reads one line of JSON that tells what to do and
// as whom, and writes a line for each step; where a person must go to a browser, it waits for the line with the
// address at which they came back.
import { createInterface } from 'node:readline'
import * as client from 'openid-client'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const read = async () => JSON.parse((await lines.next()).value)
const tell = (step) => console.log(JSON.stringify(step))

const ALGORITHMS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  Ed25519: { name: 'Ed25519' },
}

async function authentication({ method, secret, jwk, alg }) {
  if (method === 'client_secret_basic') return client.ClientSecretBasic(secret)
  if (method === 'none') return client.None()
  const key = await crypto.subtle.importKey('jwk', jwk, ALGORITHMS[alg], false, ['sign'])
  return client.PrivateKeyJwt({ key, kid: jwk.kid })
}

async function actForAPerson(config, asked) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const nonce = client.randomNonce()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: asked.redirect_uri,
    scope: asked.scope,
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  })
  tell({ step: 'authorize', url: url.href })

  const came = new URL((await read()).came)
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
  const tokens = await client.authorizationCodeGrant(config, came, checks)
  const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
  const api = await client.fetchProtectedResource(config, tokens.access_token, new URL(asked.api), 'GET')
  tell({ step: 'signed in', scope: tokens.scope, claims: tokens.claims(), person, api: api.status })

  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
  const again = await client.fetchProtectedResource(config, refreshed.access_token, new URL(asked.api), 'GET')
  tell({ step: 'refreshed', isAnother: refreshed.refresh_token !== tokens.refresh_token, api: again.status })

  await client.tokenRevocation(config, refreshed.refresh_token)
  const refused = await client.refreshTokenGrant(config, refreshed.refresh_token).then(
    () => null,
    (error) => error.error,
  )
  tell({ step: 'revoked', refused })

  const parameters = { post_logout_redirect_uri: asked.post_logout_redirect_uri, id_token_hint: tokens.id_token }
  tell({ step: 'sign out', url: client.buildEndSessionUrl(config, { ...parameters, state: 'bye' }).href })
}

async function actForItself(config, asked) {
  const tokens = await client.clientCredentialsGrant(config, { scope: asked.scope })
  const api = await client.fetchProtectedResource(config, tokens.access_token, new URL(asked.api), 'GET')
  tell({ step: 'done', scope: tokens.scope, api: api.status })
}

const asked = await read()
const config = await client.discovery(new URL(asked.issuer), asked.client_id, {}, await authentication(asked), {
  execute: [client.allowInsecureRequests], // the tests have no TLS
})
await (asked.redirect_uri ? actForAPerson : actForItself)(config, asked)
process.exit()
