import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./src/postgres/schema.ts",
    "./src/postgres/admin-schema.ts",
    "./src/postgres/compatibility-schema.ts",
    "./src/postgres/sink-schema.ts",
  ],
  out: "./drizzle",
});
