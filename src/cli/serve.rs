//! `frontdesk serve`: the database, the schema, the first tenant, and then requests until a signal. The first SIGINT or SIGTERM
//! lets running requests finish and stops the private cluster cleanly; the second one ends the process at once.

use std::time::{Duration, Instant};

use frontdesk::{
    cluster::{Cluster, Mode},
    config::Config,
    directory::{self, Directory, FirstStart},
    http::{self, App, Service, tls::Tls},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{Failure, failure::causes, open, say};

/// How long the start waits for a database that is not there yet: under compose or Kubernetes both start at once.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// The first and the longest pause between two attempts to reach the database.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// How often old events are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Serves until a signal.
pub(super) async fn serve(config: Config) -> Result<(), Failure> {
    if config.sends_tokens_in_the_clear() {
        return Err(Failure::new(format!(
            "listening on {} without TLS would let tokens travel in the clear: set tls.certificate and tls.key, or say with --insecure-http \
             (or insecure_http = true) that a proxy in front speaks TLS",
            config.listen
        )));
    }
    http::panics::log_their_place_only();
    let signals = signals()?;
    let mut again = signals.clone();
    tokio::select! {
        outcome = serve_until_signal(config, signals) => outcome,
        // Whatever is dropped here: the cluster among it, which is then asked to stop without being waited for.
        _ = again.wait_for(|count| *count >= 2) => Err(Failure::new("stopped at once by a second signal; requests in progress were cut")),
    }
}

async fn serve_until_signal(config: Config, signals: watch::Receiver<u32>) -> Result<(), Failure> {
    let tls = tls(&config)?;
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|error| Failure::new(format!("cannot listen on {}: {error}", config.listen)))?;
    let (cluster, url) = match &config.database.url {
        Some(url) => (None, url.expose().to_owned()),
        None => {
            let cluster = Cluster::open(&config.data_dir, Mode::Serve).await?;
            let url = cluster.url();
            (Some(cluster), url)
        }
    };
    let outcome = serve_from(&config, &url, (listener, tls), signals).await;
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    outcome
}

async fn serve_from(
    config: &Config,
    url: &str,
    (listener, tls): (TcpListener, Option<Tls>),
    mut signals: watch::Receiver<u32>,
) -> Result<(), Failure> {
    let mut stopped = signals.clone();
    let (directory, first) = tokio::select! {
        started = start(config, url) => started?,
        _ = stopped.wait_for(|count| *count >= 1) => return Ok(()),
    };
    let base_url = config.base_url(listener.local_addr()?);
    say(&welcome(&base_url, first.as_ref()))?;
    tracing::info!(listen = %listener.local_addr()?, %base_url, "serving");
    tokio::spawn(finish_mappings(directory.clone()));
    let app = App::new(directory.clone(), config, base_url);
    let leaving = app.clone();
    let shutdown = async move {
        // An error means that no signal can come any more; there is nothing to wait for then.
        let _ = signals.wait_for(|count| *count >= 1).await;
        tracing::info!("stopping: requests in progress may finish");
        leaving.leave();
        tokio::time::sleep(config.http.drain_delay).await;
    };
    let pruning = tokio::spawn(prune_hourly(directory.clone(), config.events.retention));
    let service = Service::new(app);
    let answer = move |request| service.clone().answer(request);
    let served = http::serve::serve(listener, tls, answer, config.http.serve_limits(), shutdown).await;
    pruning.abort();
    served?;
    directory.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The certificate of the settings, read again at every SIGHUP.
fn tls(config: &Config) -> Result<Option<Tls>, Failure> {
    // Taken also without a certificate: a SIGHUP would end the process.
    let mut hangup = signal(SignalKind::hangup())?;
    let files = config.tls.as_ref();
    let tls = files.map(|files| Tls::open(&files.certificate, &files.key, files.handshake_timeout)).transpose()?;
    let reloaded = tls.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match reloaded.as_ref().map(Tls::reload) {
                Some(Ok(())) => tracing::info!("the certificate was read again"),
                Some(Err(error)) => tracing::error!(reason = causes(&error), "the certificate stays as it was"),
                None => tracing::info!("there is no certificate to read again"),
            }
        }
    });
    Ok(tls)
}

async fn start(config: &Config, url: &str) -> Result<(Directory, Option<FirstStart>), Failure> {
    let directory = connect(config, url).await?;
    directory.migrate().await?;
    let first = directory.bootstrap().await?;
    Ok((directory, first))
}

/// Finishes what an interrupted `frontdesk mapping apply` left. Requests are served meanwhile; a fault is left to the next start.
async fn finish_mappings(directory: Directory) {
    let outcome = async {
        for tenant in directory.tenants_to_recompute().await? {
            tracing::info!(tenant.id = %tenant, "taking up the application of a mapping");
            directory.apply_mapping(tenant, |_| ()).await?;
            tracing::info!(tenant.id = %tenant, "the mapping is applied to every employee");
        }
        Ok::<_, directory::Error>(())
    };
    if let Err(error) = outcome.await {
        tracing::warn!(reason = causes(&error), "a mapping is not applied to every employee; see frontdesk mapping history");
    }
}

/// Connects, with patience for a database that is still starting. A refusal for good (no such database) is told at once.
async fn connect(config: &Config, url: &str) -> Result<Directory, Failure> {
    let since = Instant::now();
    let (mut pause, longest) = PAUSES;
    loop {
        match open(config, url).await {
            Err(directory::Error::Unavailable(cause)) if since.elapsed() < DATABASE_PATIENCE => {
                tracing::warn!(reason = causes(cause.as_ref()), "waiting for the database");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// Deletes old events for as long as the server runs. Several servers may do so at once: a tenant's row lets one in.
async fn prune_hourly(directory: Directory, retention: Option<Duration>) {
    let Some(retention) = retention else { return };
    loop {
        match directory.prune_events(retention).await {
            Ok(0) => {}
            Ok(pruned) => tracing::info!(pruned, "events older than the retention were deleted"),
            Err(error) => tracing::warn!(error = causes(&error), "old events could not be deleted; the next hour tries again"),
        }
        tokio::time::sleep(PRUNE_EVERY).await;
    }
}

/// Counts the signals to stop.
fn signals() -> Result<watch::Receiver<u32>, Failure> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (count, counted) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            count.send_modify(|count| *count += 1);
        }
    });
    Ok(counted)
}

/// What an administrator reads at a start. The token is in it once, at the very first.
fn welcome(base_url: &str, first: Option<&FirstStart>) -> String {
    let base_url = format!("{base_url}/scim/v2");
    let Some(first) = first else {
        return format!("Base URL:   {base_url}\nA token:    frontdesk token create --tenant SLUG --connection NAME");
    };
    let (tenant, connection, token) = (&first.tenant.slug, &first.connection.name, first.token.reveal());
    format!(
        "This is the first start: tenant {tenant} with connection {connection} was made. Paste into the identity provider:

  Base URL:   {base_url}
  Token Key:  {token}

The token is not shown again. Another one: frontdesk token create --tenant {tenant} --connection {connection}
To try it:

  curl -H 'Authorization: Bearer {token}' '{base_url}/Users'
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_starts_tell_the_base_url_and_how_to_get_a_token() {
        let text = welcome("https://scim.example.com", None);
        assert!(text.contains("https://scim.example.com/scim/v2") && text.contains("frontdesk token create"));
    }
}
