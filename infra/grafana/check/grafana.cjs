// @grafana/data as CommonJS, which is how Node can load it.
globalThis.navigator ??= { language: 'en-US', languages: ['en-US'] }; // formats of dates ask for it
module.exports = require('@grafana/data');
globalThis.window ??= {}; // transformations ask for a flag there; only now, or its libraries would expect a document
