// Builds the programs of peers that are written in Rust.

/**
 * Builds a crate.
 *
 * @returns Why it could not be built; `undefined` if it was.
 */
export async function cargoBuild(folder: string, target: string): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command("cargo", {
      args: ["build", "--release", "--locked", "--quiet", "--target-dir", target],
      cwd: folder,
      stdout: "null",
      stderr: "piped",
    }).output();
    return success ? undefined : `cargo: ${new TextDecoder().decode(stderr)}`;
  } catch {
    return "cargo is not there";
  }
}
