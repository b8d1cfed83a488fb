// Unpacks the npm Chromium and its libraries: node tools/unpack_chromium.mjs <folder>
import { fileURLToPath } from "node:url";
import { inflate } from "@sparticuz/chromium";

// The package unpacks into the temporary folder, so redirect that.
process.env.TMPDIR = process.argv[2];

const archives = new URL("../bin/", import.meta.resolve("@sparticuz/chromium"));
const names = ["chromium.br", "al2023.tar.br", "fonts.tar.br"];
await Promise.all(names.map((name) => inflate(fileURLToPath(new URL(name, archives)))));
