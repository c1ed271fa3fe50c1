//! The numbers on a loopback port.

use super::observed::Observed;
use anyhow::{anyhow, ensure, Result};
use std::net::SocketAddr;
use tiny_http::{Header, Method, Response, Server};

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until the process is ended.
pub fn serve(address: SocketAddr, observed: &mut Observed<'_>) -> Result<()> {
    ensure!(
        address.ip().is_loopback(),
        "{} is no loopback address: whoever reaches it could read the counters. Listen at 127.0.0.1, and put a \
         proxy in front that asks who is there",
        address.ip()
    );
    let server =
        Server::http(address).map_err(|error| anyhow!("cannot listen at {address}: {error}"))?;
    eprintln!("laio: http://{}/metrics", server.server_addr());
    for request in server.incoming_requests() {
        let is_ours = request.url().split('?').next() == Some("/metrics");
        let response = match (request.method(), is_ours) {
            (Method::Get, true) => match observed.text() {
                Ok(text) => Response::from_string(text).with_header(content_type()?),
                Err(error) => Response::from_string(format!("{error:#}\n")).with_status_code(500),
            },
            (_, true) => Response::from_string("only GET\n").with_status_code(405),
            _ => Response::from_string("the numbers are at /metrics\n").with_status_code(404),
        };
        // A collector that has gone asks again.
        let _ = request.respond(response);
    }
    Ok(())
}

fn content_type() -> Result<Header> {
    Header::from_bytes("Content-Type", TYPE).map_err(|()| anyhow!("{TYPE} is no header"))
}
