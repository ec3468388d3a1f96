// What a Worker of a program that has a parent gets for a parent itself.
import { found } from "./spawned.ts";

(self as unknown as Worker).postMessage(found());
