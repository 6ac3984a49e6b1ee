// Knows the tokens that every peer here asks for at the upgrade: a JWT, signed with HMAC-SHA256 by
// the secret in PEER_SECRET, whose `sub` is the user and whose `exp` lies ahead.
//
// Node's own crypto is used, because the usual libraries cost several times what the signature does,
// and connections per CPU-second are one of the figures.
import { createHmac, timingSafeEqual } from "node:crypto";

const secret = process.env.PEER_SECRET;
if (!secret) throw new Error("PEER_SECRET is not set");

/** The user of a token that holds, otherwise `undefined`. */
export function userOf(token) {
  const [header, claims, signature, more] = String(token).split(".");
  if (signature === undefined || more !== undefined) return undefined;
  const expected = createHmac("sha256", secret).update(`${header}.${claims}`).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  try {
    if (JSON.parse(Buffer.from(header, "base64url")).alg !== "HS256") return undefined;
    const { sub, exp } = JSON.parse(Buffer.from(claims, "base64url"));
    return typeof sub === "string" && exp > Date.now() / 1000 ? sub : undefined;
  } catch {
    return undefined;
  }
}
