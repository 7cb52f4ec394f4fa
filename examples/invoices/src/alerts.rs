//! Tells customers when their webhooks fail. Here it is a line on the terminal; a real service sends a mail.

use hookwire::service::Notice;

/// An observer for [`WebhooksBuilder::observe`](hookwire::service::WebhooksBuilder::observe). It must not block.
pub fn observe(notice: &Notice<'_>) {
    if let Some(line) = line(notice) {
        println!("{line}");
    }
}

fn line(notice: &Notice<'_>) -> Option<String> {
    match notice {
        Notice::Failing { webhook, since, .. } => {
            Some(format!("mail to {}: webhook {} fails since {since}", webhook.tenant, webhook.hook_id))
        }
        Notice::Disabled { webhook, disabled, .. } => {
            Some(format!("mail to {}: webhook {} is {disabled}", webhook.tenant, webhook.hook_id))
        }
        Notice::Recovered { webhook, .. } => {
            Some(format!("mail to {}: webhook {} answers again", webhook.tenant, webhook.hook_id))
        }
        _ => None,
    }
}
