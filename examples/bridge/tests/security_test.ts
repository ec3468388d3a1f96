import { assert, assertEquals } from "@std/assert";
import { nkeys } from "@nats-io/nats-core";
import { IpcReceiver, IpcSender } from "../../../mod.ts";
import { bridgeTest, type Machines, PATIENCE } from "./machines.ts";

/** Runs openssl; `undefined` where there is none. */
function openssl(...args: string[]): boolean {
  try {
    return new Deno.Command("openssl", { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

/** An authority, and what it has signed for a server and a client. */
function certificates(folder: string): boolean {
  const make = (name: string, ...more: string[]) =>
    openssl(
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1"],
      ...["-subj", `/CN=${name}`, "-keyout", `${folder}/${name}.key`, "-out", `${folder}/${name}.pem`, ...more],
    );
  if (!make("authority")) return false;
  const by = ["-CA", `${folder}/authority.pem`, "-CAkey", `${folder}/authority.key`];
  return make("server", ...by, "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE") &&
    make("client", ...by, "-addext", "basicConstraints=CA:FALSE", "-addext", "extendedKeyUsage=clientAuth");
}

/** A file of the test's folder. */
function file(machines: Machines, name: string, content: string): string {
  const path = `${machines.folder}/${name}`;
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  Deno.writeTextFileSync(path, content);
  return path;
}

bridgeTest("TLS, certificates, keys and passwords come from NATS's context files", async (machines) => {
  const { folder } = machines;
  assert(certificates(folder), "openssl makes no certificates here");
  const user = nkeys.createUser();
  const config = file(
    machines,
    "server.conf",
    `
    tls { cert_file: "${folder}/server.pem", key_file: "${folder}/server.key", ca_file: "${folder}/authority.pem", verify: true }
    authorization { users: [ { nkey: "${user.getPublicKey()}" }, { user: "bridge", password: "secret" } ] }
  `,
  );
  const server = await machines.server("-c", config);
  const tls = {
    url: server.url,
    ca: `${folder}/authority.pem`,
    cert: `${folder}/client.pem`,
    key: `${folder}/client.key`,
  };
  const seed = file(machines, "user.nk", new TextDecoder().decode(user.getSeed()));
  file(machines, "config/nats/context/by-key.json", JSON.stringify({ ...tls, nkey: seed, description: "a key" }));
  file(machines, "config/nats/context.txt", "by-key\n");
  const password = file(machines, "by-password.json", JSON.stringify({ ...tls, user: "bridge", password: "secret" }));
  const wrong = file(machines, "wrong.json", JSON.stringify({ ...tls, user: "bridge", password: "guess" }));
  const strange = file(machines, "strange.json", JSON.stringify({ ...tls, nsc: "nsc://operator/account/user" }));
  const plain = file(machines, "plain.json", JSON.stringify({ url: server.url, user: "bridge", password: "secret" }));

  const env = { XDG_CONFIG_HOME: `${folder}/config` };
  const near = `${folder}/near`, far = `${folder}/far`;
  const bridges = [
    machines.prepare(["send", near, "jobs"], [], env), // the selected context
    machines.prepare(["receive", "jobs", far, "--context", password], [], env),
  ];
  for (const bridge of bridges) await bridge.start();
  using sender = IpcSender.open<string>(near);
  using receiver = IpcReceiver.create<string>(far);
  await sender.send("sealed");
  assertEquals(await receiver.recv({ timeout: PATIENCE }), "sealed");

  for (
    const [context, why] of [
      [wrong, /Cannot connect to NATS at .*Authorization/i],
      [strange, /does not support its member "nsc"/],
      [plain, /Cannot connect to NATS/],
      ["none", /Cannot read the NATS context "none"/],
    ] as const
  ) {
    const { code, said } = await machines.prepare(["send", `${near}-2`, "jobs", "--context", context], [], env)
      .toItsEnd();
    assertEquals(code, 1, said);
    assert(why.test(said), said);
  }
});
