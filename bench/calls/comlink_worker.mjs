// The Worker of comlink.mjs: exposes a method by Comlink, or answers messages itself.
const query = new URL(import.meta.url).searchParams, library = query.get("comlink");
if (library === null) {
  self.onmessage = ({ data: [a, b] }) => self.postMessage(a + b);
} else {
  const { expose } = await import(library);
  expose({ add: (a, b) => a + b });
}
