#!/usr/bin/env node
// The file server beside this in a cluster of one worker: the parent accepts connections and passes them on.
//
//     cluster_files.js --port 8080 --root /srv/www
"use strict";

const cluster = require("node:cluster");

if (cluster.isPrimary) {
    cluster.schedulingPolicy = cluster.SCHED_RR;
    cluster.fork();
    cluster.on("exit", () => process.exit(1));
} else {
    require("./node_files.js");
}
