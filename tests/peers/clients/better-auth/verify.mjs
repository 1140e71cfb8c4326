// Verifies the token in TOKEN with jose and the secret in SECRET, and prints its claims as JSON.
import { jwtVerify } from "jose";

const { TOKEN, SECRET } = process.env;
const { payload } = await jwtVerify(TOKEN, new TextEncoder().encode(SECRET), { algorithms: ["HS256"] });
console.log(JSON.stringify(payload));
