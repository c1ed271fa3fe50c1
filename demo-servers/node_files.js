#!/usr/bin/env node
// A file server in Node, written in the ordinary way: each file is a stream, which libuv opens and reads in a pool of four threads.
//
//     node_files.js --port 8080 --root /srv/www
//
// While four files are waited for nobody else's is read: that is what liblaio is for. Nothing here knows of it.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const { locate, options } = require("./files.js");

const { port, root } = options();
const server = http.createServer({ keepAliveTimeout: 60000 }, (request, response) => {
    const refuse = (status) => response.writeHead(status).end();
    if (request.method !== "GET" && request.method !== "HEAD") {
        return refuse(405);
    }
    const path = locate(root, request.url);
    if (path === undefined) {
        return refuse(400);
    }
    fs.open(path, (error, fd) => {
        if (error) {
            return refuse(404);
        }
        fs.fstat(fd, (error, status) => {
            if (error || !status.isFile()) {
                return fs.close(fd, () => refuse(404));
            }
            response.writeHead(200, { "Content-Length": status.size });
            if (request.method === "HEAD") {
                return fs.close(fd, () => response.end());
            }
            const stream = fs.createReadStream(null, { fd, start: 0 });
            stream.on("error", () => response.destroy());
            response.on("close", () => stream.destroy());
            stream.pipe(response);
        });
    });
});
server.listen(port, "127.0.0.1", 1024);
