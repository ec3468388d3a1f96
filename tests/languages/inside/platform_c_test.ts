// A C compiler agrees with the tables of numbers and structures, for each processor that it can compile for. Nothing is
// run: the compiler refuses to compile a wrong number, so the tables of another processor are checked as well.
import { MUTEX_OFFSET, WATCHERS } from "../../../arc/segment/header.ts";
import { PLATFORMS } from "../../../ffi/libc/platform.ts";
import * as platformModule from "../../../ffi/libc/platform.ts";
import * as structs from "../../../ffi/libc/structs.ts";
import { processTest } from "../../support/test.ts";

const HEADERS = `
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
`;

const mayRun = Deno.permissions.querySync({ name: "run" }).state === "granted";

/** Debian's names for the packages with the compilers, for the word about a missing one. */
const PACKAGES: Record<string, string> = { x86_64: "gcc libc6-dev", aarch64: "gcc-aarch64-linux-gnu" };

/** A compiler for a processor, if there is one. */
function compilerFor(processor: string): string | undefined {
  return ["gcc", "cc", `${processor}-linux-gnu-gcc`].find((name) => {
    try {
      const { stdout } = new Deno.Command(name, { args: ["-dumpmachine"], stderr: "null" }).outputSync();
      return new TextDecoder().decode(stdout).startsWith(`${processor}-`);
    } catch {
      return false;
    }
  });
}

/** Has a compiler check expressions of C against what they are taken to be; its complaint if one is something else. */
async function refuted(compiler: string, claims: [expression: string, value: number][]): Promise<string> {
  const asserts = claims.map(([expression, value]) => {
    const message = `${expression} is not ${value}`;
    return `_Static_assert((long long)(${expression}) == ${value}LL, ${JSON.stringify(message)});`;
  });
  const process = new Deno.Command(compiler, {
    args: ["-std=gnu11", "-Wall", "-Werror", "-fsyntax-only", "-x", "c", "-"],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const input = process.stdin.getWriter();
  await input.write(new TextEncoder().encode(HEADERS + asserts.join("\n") + "\n"));
  await input.close();
  const { success, stderr } = await process.output();
  return success ? "" : new TextDecoder().decode(stderr);
}

/** Every number that the same name has in C. */
function constants(table: object): [string, number][] {
  return Object.entries(table).filter(([name, value]) =>
    typeof value === "number" && /^[A-Z][A-Za-z0-9_]*$/.test(name)
  );
}

/** Every size and offset. */
function layouts(): [string, number][] {
  return Object.values(structs).flatMap(({ struct, size, ...parts }) => [
    [`sizeof(struct ${struct})`, size] as [string, number],
    ...Object.entries(parts).map(([part, at]) => [`offsetof(struct ${struct}, ${part})`, at] as [string, number]),
  ]);
}

/** What is read and written as an array of words, and what only has room made for it. */
function arrays(): [string, number][] {
  const POLL = "struct pollfd", TIME = "struct timespec", ADDRESS = "struct sockaddr_un";
  return [
    [`sizeof(${POLL})`, 8],
    [`offsetof(${POLL}, fd)`, 0],
    [`offsetof(${POLL}, events)`, 4],
    [`offsetof(${POLL}, revents)`, 6],
    [`sizeof(${TIME})`, 16],
    [`offsetof(${TIME}, tv_sec)`, 0],
    [`offsetof(${TIME}, tv_nsec)`, 8],
    [`sizeof(((${ADDRESS} *)0)->sun_family)`, 2],
    [`sizeof(pthread_mutex_t) <= ${WATCHERS * 4 - MUTEX_OFFSET}`, 1],
    ["_Alignof(pthread_mutex_t) <= 8", 1],
    ["sizeof(pthread_mutexattr_t) <= 16", 1],
  ];
}

for (const [key, table] of Object.entries(PLATFORMS)) {
  const processor = key.slice("linux-".length);
  const compiler = mayRun ? compilerFor(processor) : undefined;
  const name = `A C compiler for ${table.name} agrees with every constant, size and offset`;
  if (compiler === undefined) {
    if (mayRun) console.log(`Ignored, as there is no compiler for it (Debian: ${PACKAGES[processor]}): ${name}`);
    Deno.test({ name, ignore: true, fn() {} });
    continue;
  }
  processTest(name, async () => {
    const claims: [string, number][] = [
      ...constants(platformModule),
      ...constants(table),
      ...layouts(),
      ...arrays(),
      ["sizeof(pthread_mutex_t)", table.mutexSize],
    ];
    const complaint = await refuted(compiler, claims);
    if (complaint !== "") throw new Error(complaint);
    // And it does look: one number that is wrong, and it says so.
    const [last, value] = claims.at(-1)!;
    if (!(await refuted(compiler, [[last, value + 1]])).includes("static assertion failed")) {
      throw new Error("the compiler took a wrong number");
    }
  });
}
