// Search runs in a worker. A browser starts none for a page that is opened from disk, so there a hidden frame takes its place.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      this.window = this.frame.contentWindow;
      window.addEventListener("message", (event) => {
        if (event.source !== this.window) return;
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      const inside = () => {
        self.postMessage = (data) => parent.postMessage(data, "*");
        self.importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((done) => {
          const script = document.createElement("script");
          script.src = url;
          script.onload = done;
          document.body.appendChild(script);
        })));
      };
      const page = this.window.document;
      page.open();
      page.write(`<body><script>(${inside})()<\/script><script src="${new URL(url, location)}"><\/script></body>`);
      page.close();
      this.ready = new Promise((done) => this.frame.addEventListener("load", done));
    }
    set onmessage(heard) { this.addEventListener("message", heard); }
    postMessage(data) {
      this.ready.then(() => this.window.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() { this.frame.remove(); }
  };
}
