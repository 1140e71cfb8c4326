// Verifies the token TOKEN with jose and the secret SECRET, and prints its claims.
import { jwtVerify } from "jose";

const { TOKEN, SECRET } = process.env;
const { payload } = await jwtVerify(TOKEN, new TextEncoder().encode(SECRET), { algorithms: ["HS256"] });
console.log(JSON.stringify(payload));
