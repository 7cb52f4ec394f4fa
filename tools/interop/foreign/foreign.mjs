// Signs and verifies by code that is not hookwire's: a JSON list of tasks in, a list of answers out.

import { readFileSync } from "node:fs";
import * as octokit from "@octokit/webhooks-methods";
import * as standardwebhooks from "standardwebhooks";
import * as svix from "svix";

// A library with the class `Webhook` of Standard Webhooks.
class Library {
  constructor(module, options) {
    this.module = module;
    this.options = options;
  }

  verify(key, headers, body) {
    try {
      new this.module.Webhook(key).verify(body, headers, this.options);
      return true;
    } catch (error) {
      if (error instanceof this.module.WebhookVerificationError) return false;
      throw error;
    }
  }

  sign(key, headers, body) {
    const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
    const entry = new this.module.Webhook(key).sign(headers["webhook-id"], at, body.toString());
    return { ...headers, "webhook-signature": entry };
  }
}

// GitHub's own library.
const github = {
  verify: (key, headers, body) => octokit.verify(key, body.toString(), headers["x-hub-signature-256"]),
  sign: async (key, headers, body) => ({
    ...headers,
    "x-hub-signature-256": await octokit.sign(key, body.toString()),
  }),
};

const libraries = {
  standardwebhooks: new Library(standardwebhooks, { jsonParse: false }),
  svix: new Library(svix, undefined),
  github,
};

const answers = [];
for (const { act, library, key, headers, body } of JSON.parse(readFileSync(0, "utf8"))) {
  answers.push(await libraries[library][act](key, headers, Buffer.from(body, "base64")));
}
console.log(JSON.stringify(answers));
