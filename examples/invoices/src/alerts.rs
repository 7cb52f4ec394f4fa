//! Tells customers when their webhooks fail. Here it is a line on the terminal; a real service sends a mail.

use hookwire::service::Notice;

/// An observer for [`WebhooksBuilder::observe`](hookwire::service::WebhooksBuilder::observe). It must not block.
pub fn observe(notice: &Notice<'_>) {
    let (webhook, told) = match notice {
        Notice::Failing { webhook, since, .. } => (webhook, format!("fails since {since}")),
        Notice::Disabled { webhook, disabled, .. } => (webhook, format!("is {disabled}")),
        Notice::Recovered { webhook, .. } => (webhook, "answers again".to_owned()),
        _ => return,
    };
    println!("mail to {}: webhook {} {told}", webhook.tenant, webhook.hook_id);
}
