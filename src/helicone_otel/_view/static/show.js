// Asks the API, with the page's own filters, and shows what it answers.
export async function show(address) {
  const exported = document.getElementById("exported");
  const data = exported ? JSON.parse(exported.textContent) : await (await fetch(address + location.search)).json();
  document.getElementById("data").textContent = JSON.stringify(data, null, 1);
}
