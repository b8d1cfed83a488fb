// Unpacks the npm Chromium and the libraries it brings along: node tools/unpack_chromium.mjs <folder>
import { fileURLToPath } from "node:url";
import { inflate } from "@sparticuz/chromium";

// The package unpacks into the folder for temporary files, so that is what we name.
process.env.TMPDIR = process.argv[2];

const archives = new URL("../bin/", import.meta.resolve("@sparticuz/chromium"));
const names = ["chromium.br", "al2023.tar.br", "fonts.tar.br"];
await Promise.all(names.map((name) => inflate(fileURLToPath(new URL(name, archives)))));
