#!/usr/bin/env node
// A file server on express, with its own handler for files (`express.static`).
//
//     express_files.js --port 8080 --root /srv/www
//
// libuv looks up, opens and reads the files in a pool of four threads. While four files are waited for nobody else's is read: that is
// what liblaio is for. Nothing here knows of it. Express may be npm's or Debian's (node-express).
"use strict";

// A node that is not Debian's does not look there by itself.
process.env.NODE_PATH = [process.env.NODE_PATH, "/usr/share/nodejs"].filter(Boolean).join(":");
require("node:module")._initPaths();

const { options } = require("./files.js");
const express = require("express");

const { port, root } = options();
const server = express().use(express.static(root)).listen(port, "127.0.0.1", 1024);
server.keepAliveTimeout = 60000;
