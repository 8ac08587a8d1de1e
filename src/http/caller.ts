/**
 * The roles; each may do all that those before it may. Readers look, sellers also take seats, admins also
 * change the catalogue and the keys.
 */
export const ROLES = ["reader", "seller", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** Whether a key with this role may do what needs the other. */
export const mayAct = (role: Role, needed: Role): boolean => ROLES.indexOf(role) >= ROLES.indexOf(needed);

export type Caller = { kind: "anonymous" } | { kind: "key"; keyId: string; role: Role };

export const ANONYMOUS: Caller = { kind: "anonymous" };

/** Whether the caller may act for any buyer. */
export const isSeller = (caller: Caller): boolean => caller.kind === "key" && mayAct(caller.role, "seller");
