import type pg from "pg";
import { UnusableDatabase } from "./unusable-database.ts";

const OLDEST_VERSION_NUMBER = 150_000;

/** The number of connections available to us, and the setting that limits it. */
export interface ServerConnectionLimit {
  connections: number;
  /** The setting, as words to follow "raise". */
  setBy: string;
}

/** Facts about the server and the database; `id` separates its Redis keys from those of other databases. */
export interface ServerFacts {
  id: string;
  version: string;
  role: string;
  connectionLimit: ServerConnectionLimit;
}

/** Limits of roles and databases do not apply to a superuser. Reserved connections are never counted. */
const FACTS = `
  select system_identifier || '-' || d.oid as id, current_setting('server_version') as version,
         current_setting('server_version_num')::int as number, session_user as role, d.datname as database,
         pg_encoding_to_char(d.encoding) as encoding, pg_is_in_recovery() as standby,
         current_setting('max_connections')::int as "serverLimit",
         current_setting('superuser_reserved_connections')::int as "forSuperusers",
         case when exists (select from pg_roles p where p.rolname = 'pg_use_reserved_connections' and pg_has_role(p.oid, 'usage'))
           then 0 else coalesce(current_setting('reserved_connections', true)::int, 0) end as "forOthers",
         case when r.rolsuper then -1 else r.rolconnlimit end as "roleLimit",
         case when r.rolsuper then -1 else d.datconnlimit end as "databaseLimit"
  from pg_control_system(), pg_database d, pg_roles r
  where d.datname = current_database() and r.rolname = session_user`;

interface FactsRow {
  id: string;
  version: string;
  number: number;
  role: string;
  database: string;
  encoding: string;
  standby: boolean;
  serverLimit: number;
  forSuperusers: number;
  forOthers: number;
  roleLimit: number;
  databaseLimit: number;
}

/** @throws {UnusableDatabase} if the engine cannot work with this server or database */
export async function readServerFacts(client: pg.Client): Promise<ServerFacts> {
  const { rows } = await client.query<FactsRow>(FACTS);
  const [row] = rows;
  if (!row) throw new Error("the database returned no facts about itself");
  const { id, version, role, encoding } = row;
  if (row.number < OLDEST_VERSION_NUMBER)
    throw new UnusableDatabase(`is Postgres ${version}, which is too old: use Postgres 15 or newer`);
  if (row.standby)
    throw new UnusableDatabase("is a standby, where nothing can be sold: use the URL of the primary");
  if (encoding !== "UTF8")
    throw new UnusableDatabase(
      `has the encoding ${encoding}, which cannot hold every name: use a database created with encoding 'UTF8' (create database ... encoding 'UTF8' template template0)`,
    );
  return { id, version, role, connectionLimit: connectionLimitOf(row) };
}

function connectionLimitOf(row: FactsRow): ServerConnectionLimit {
  const { serverLimit, forSuperusers, forOthers, roleLimit, databaseLimit, role, database } = row;
  const reserved = [
    ...(forSuperusers > 0 ? [`superuser_reserved_connections takes ${forSuperusers}`] : []),
    ...(forOthers > 0 ? [`reserved_connections takes ${forOthers}`] : []),
  ];
  const limits: ServerConnectionLimit[] = [
    {
      connections: serverLimit - forSuperusers - forOthers,
      setBy: `max_connections, which is ${serverLimit}${reserved.length > 0 ? ` (${reserved.join(", ")})` : ""}`,
    },
    {
      connections: roleLimit,
      setBy: `the limit of the role (alter role "${role}" connection limit ${roleLimit})`,
    },
    {
      connections: databaseLimit,
      setBy: `the limit of the database (alter database "${database}" connection limit ${databaseLimit})`,
    },
  ];
  return limits
    .filter(({ connections }) => connections >= 0)
    .reduce((least, limit) => (limit.connections < least.connections ? limit : least));
}
