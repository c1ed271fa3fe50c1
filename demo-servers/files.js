// What the file servers in Node beside this have in common: their options, and files found.
"use strict";

const fs = require("node:fs");
const { parseArgs } = require("node:util");

/** The port to listen on, the directory with the files, and what a server has of its own. */
exports.options = (more = {}) => {
    const { values } = parseArgs({
        options: {
            port: { type: "string", default: "8080" },
            root: { type: "string", default: "." },
            ...more,
        },
    });
    return { ...values, port: Number(values.port), root: fs.realpathSync(values.root) };
};

/** The path that a target names; none outside the root. */
exports.locate = (root, target) => {
    let path;
    try {
        path = decodeURIComponent(target.split("?", 1)[0]);
    } catch {
        return undefined;
    }
    if (!path.startsWith("/") || path.includes("\0") || path.split("/").includes("..")) {
        return undefined;
    }
    return root + path + (path.endsWith("/") ? "index.html" : "");
};
