//! A small chart of the attempts at a webhook, by the hour.

use std::time::Duration;

use axum::response::Response;
use hookwire::HookId;
use hookwire::store::{Hour, HourCount};
use maud::{Markup, html};

use super::visit::Visit;

/// The hours that are shown.
const HOURS: i64 = 7 * 24;
/// The height of the chart, in the units of its width: one for each hour.
const HEIGHT: u64 = 30;

pub(super) async fn of(visit: &Visit, id: HookId) -> Result<Markup, Response> {
    let now = visit.hooks().now();
    let since = now.minus(Duration::from_secs(60 * 60 * (HOURS - 1).unsigned_abs()));
    let counted = visit.tenant.statistics(id, since).await.map_err(|error| visit.failed(&error))?;
    Ok(drawn(visit, &counted.hours, Hour::of(now)))
}

fn drawn(visit: &Visit, hours: &[HourCount], last: Hour) -> Markup {
    let texts = visit.texts();
    let (attempts, successes) =
        hours.iter().fold((0, 0), |(all, good), it| (all + it.attempts, good + it.successes));
    let most = hours.iter().map(|it| it.attempts).max().unwrap_or_default().max(1);
    let height = |count: u64| (count * HEIGHT).div_ceil(most);
    html! {
        @if attempts > 0 {
            figure {
                figcaption { (texts.last_days) ": " (successes) " " (texts.succeeded) " " (attempts) }
                svg viewBox={ "0 0 " (HOURS) " " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
                    @for hour in hours {
                        @let x = HOURS - 1 - (last.get() - hour.hour.get());
                        @let (all, good) = (height(hour.attempts), height(hour.successes));
                        rect class="failed" x=(x) y=(HEIGHT - all) width="1" height=(all) {}
                        rect class="made" x=(x) y=(HEIGHT - good) width="1" height=(good) {}
                    }
                }
            }
        }
    }
}
