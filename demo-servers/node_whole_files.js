#!/usr/bin/env node
// A file server in Node that reads each file as a whole before it sends the first byte: with one call of its own thread
// (`readFileSync`), or, with --pool, in libuv's pool of four threads (`readFile`).
//
//     node_whole_files.js --port 8080 --root /srv/www [--pool]
//
// While it waits for one file it serves nobody: that is what liblaio is for. Nothing here knows of it.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const { locate, options } = require("./files.js");

const { port, root, pool } = options({ pool: { type: "boolean" } });

/** The whole file, handed to `then`, or an error. */
const read = (path, then) => {
    if (pool) {
        return fs.readFile(path, then);
    }
    let content;
    try {
        content = fs.readFileSync(path);
    } catch (error) {
        return then(error);
    }
    then(null, content);
};

const server = http.createServer({ keepAliveTimeout: 60000 }, (request, response) => {
    const refuse = (status) => response.writeHead(status).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
        return refuse(405);
    }
    const path = locate(root, request.url);
    if (path === undefined) {
        return refuse(400);
    }
    read(path, (error, content) => {
        if (error) {
            return refuse(404);
        }
        response.writeHead(200, { "Content-Length": content.length });
        response.end(request.method === "HEAD" ? undefined : content);
    });
});
server.listen(port, "127.0.0.1", 1024);
